"""Packs events into messages of a bounded size, for everything that publishes events."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping

from shared.pubsub.message import CONTENT_ENCODING, MAX_PACKED_BYTES, MAX_UNPACKED_BYTES, Message, is_gzip
from shared.timestamps import EPOCH


class MessageTooLargeError(Exception):
    """The data of a message is above the limit, even after compression.

    Attributes:
        size: bytes before compression.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"found {size:,} bytes, expected an event of at most {MAX_PACKED_BYTES:,}")
        self.size = size


def pack(events: Iterable[bytes], *, max_events: int, max_bytes: int = MAX_PACKED_BYTES) -> Iterator[list[bytes]]:
    """Yield lists of events; the events of each list, joined with newlines, are the data of one message.

    Args:
        events: JSON without newlines.
        max_events: per message.
        max_bytes: per message; a larger event is alone in its list.
    """
    batch: list[bytes] = []
    size = 0
    for event in events:
        if batch and (len(batch) == max_events or size + len(event) + 1 > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield batch


def fit(data: bytes, attributes: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """Return the data and the attributes of a message within the limit; larger data is compressed.

    Raises:
        MessageTooLargeError: the data is above the limit after compression, or unpacks to over `MAX_UNPACKED_BYTES`.
    """
    if len(data) <= MAX_PACKED_BYTES:
        return data, attributes
    if len(data) <= MAX_UNPACKED_BYTES and not is_gzip(Message(data, "", EPOCH, attributes)):
        compressed = gzip.compress(data, mtime=0)
        if len(compressed) <= MAX_PACKED_BYTES:
            return compressed, {**attributes, CONTENT_ENCODING: "gzip"}
    raise MessageTooLargeError(len(data))
