"""Events are packed into messages up to the size limit; events that fit into no message are reported."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1.types import PubsubMessage

from infra.batch.publish import _messages, publish_files
from infra.batch.report import Report
from shared.errors import PermanentError
from shared.pubsub.message import MAX_PACKED_BYTES
from shared.pubsub.packing import pack
from shared.sources.files import SourceReader
from tests.support.open_files import open_files


def packed(data: bytes, batch_size: int) -> tuple[list[tuple[bytes, int]], Report]:
    report = Report()
    reader = SourceReader([None], format="json", stdin=io.BytesIO(data))
    return [(message.data, events) for message, events in _messages(reader, report, batch_size)], report


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_message_holds_batch_size_events(size: int) -> None:
    events = [b'{"n":%d}' % number for number in range(7)]

    messages, _ = packed(b"\n".join(events), size)

    assert messages == [(b"\n".join(events[at : at + size]), len(events[at : at + size])) for at in range(0, 7, size)]


def test_a_message_is_filled_to_its_size_limit_and_the_next_takes_the_rest() -> None:
    third = MAX_PACKED_BYTES // 3
    sizes = [third - 1, third - 1, third, third, *[10] * 9, MAX_PACKED_BYTES - 1, 10, MAX_PACKED_BYTES]
    events = [b'"' + b"x" * (size - 2) + b'"' for size in sizes]

    messages, report = packed(b"".join(event + b"\n" for event in events), 5)

    assert messages == [(b"\n".join(batch), len(batch)) for batch in pack(events, max_events=5)]
    assert [events for _, events in messages] == [3, 5, 5, 1, 1, 1]
    assert report.unreadable_count == 0


def test_an_event_above_the_size_limit_is_compressed_or_reported() -> None:
    compressible = b'"' + b"x" * MAX_PACKED_BYTES + b'"'
    incompressible = b'"' + os.urandom(MAX_PACKED_BYTES).hex().encode() + b'"'

    messages, report = packed(b"\n".join([b"1", compressible, incompressible, b"2"]), 100)

    assert [(events, len(data) <= MAX_PACKED_BYTES) for data, events in messages] == [(1, True)] * 3
    assert [gzip.decompress(data) if data[:1] == b"\x1f" else data for data, _ in messages] == [
        b"1",
        compressible,
        b"2",
    ]
    assert report.unreadable == [f"stdin:3: found {len(incompressible):,} bytes, expected an event of at most 262,144"]


async def test_a_failed_call_closes_the_source_file(tmp_path: Path) -> None:
    class FailingPublisher:
        async def publish(self, topic: str, messages: list[PubsubMessage]) -> None:
            raise PermanentError("no")

    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"n":1}\n' * 100_000)
    publisher: Any = FailingPublisher()

    with pytest.raises(PermanentError) as raised:
        await publish_files(SourceReader([path]), publisher, "events", batch_size=1)

    assert (open_files(tmp_path), raised.type) == ([], PermanentError)  # `raised` keeps the frames alive
