"""Files into the topic: events packed many to a message, messages many to a call, calls side by side."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, islice

from google.pubsub_v1.types import PubsubMessage

from infra.batch.report import Report
from infra.batch.task_group import concurrently
from infra.sources.files import Record, SourceReader, Unreadable
from shared.pubsub.message import CONTENT_ENCODING, CONTENT_TYPE, LINES, MAX_PACKED_BYTES, MAX_UNPACKED_BYTES
from shared.pubsub.publisher import MAX_MESSAGES_PER_CALL, Publisher

# A PublishRequest may have 10 MB (https://cloud.google.com/pubsub/quotas#resource_limits).
_BYTES_A_CALL = 4 * 1024 * 1024
_CALLS = 4
_LINES = {CONTENT_TYPE: LINES}


async def publish_files(
    reader: SourceReader,
    publisher: Publisher,
    topic: str,
    *,
    batch_size: int = 100,
    rate: float | None = None,
    progress: Callable[[Report], None] = lambda _report: None,
) -> tuple[Report, int]:
    """Publish the events of some files.

    Args:
        reader: of the files.
        publisher: to the right project.
        topic: its short name.
        batch_size: events in a message, at most.
        rate: events a second, at most.
        progress: is told of the figures now and then.

    Returns:
        The figures, and how many messages that made.
    """
    report = Report()
    slots = asyncio.Semaphore(_CALLS)
    started = time.monotonic()
    sent = handed_in = 0

    async def send(messages: list[PubsubMessage], events: int) -> None:
        try:
            await publisher.publish(topic, messages)
        finally:
            slots.release()
        report.published += events
        progress(report)

    async with concurrently() as calls:
        for messages, events in _calls(_messages(reader, report, batch_size), single=rate is not None):
            if rate is not None:
                await asyncio.sleep(started + handed_in / rate - time.monotonic())
            await slots.acquire()
            calls.create_task(send(messages, events))
            sent += len(messages)
            handed_in += events
    return report, sent


def _messages(reader: SourceReader, report: Report, batch_size: int) -> Iterator[tuple[PubsubMessage, int]]:
    """Pack events into messages; what doesn't fit into any is reported."""
    events = _events(reader, report)
    batch: list[bytes] = []
    while batch := [*batch, *islice(events, batch_size - len(batch))]:
        fit = _fit(batch)
        data = b"\n".join(batch[:fit])
        if len(data) > MAX_PACKED_BYTES:  # one large event, which fits when it is compressed
            yield PubsubMessage(data=gzip.compress(data), attributes={**_LINES, CONTENT_ENCODING: "gzip"}), 1
        else:
            yield PubsubMessage(data=data, attributes=_LINES), fit
        batch = batch[fit:]


def _events(reader: SourceReader, report: Report) -> Iterator[bytes]:
    """Return the events that fit into a message; the others, and what is no event, are reported."""
    for item in reader:
        if isinstance(item, Unreadable):
            report.cannot_read(item.source, item.line, item.problem)
        elif len(item.raw) <= MAX_PACKED_BYTES or _squeezed(item) is not None:
            yield item.raw
        else:
            problem = f"found {len(item.raw):,} bytes, expected an event of at most {MAX_PACKED_BYTES:,}"
            report.cannot_read(item.source, item.line, problem)


def _fit(events: list[bytes]) -> int:
    """Return how many of the events one message can hold, a newline behind each; one at least."""
    if sum(map(len, events)) + len(events) <= MAX_PACKED_BYTES:
        return len(events)
    sizes = accumulate(len(event) + 1 for event in events)
    return max(sum(size <= MAX_PACKED_BYTES for size in sizes), 1)


def _squeezed(record: Record) -> bytes | None:
    """Return an event compressed, if that makes it small enough for a message."""
    if len(record.raw) > MAX_UNPACKED_BYTES:
        return None
    data = gzip.compress(record.raw)
    return data if len(data) <= MAX_PACKED_BYTES else None


def _calls(messages: Iterator[tuple[PubsubMessage, int]], *, single: bool) -> Iterator[tuple[list[PubsubMessage], int]]:
    """Gather messages into calls; `single` makes a call of each, for an even rate."""
    gathered: list[PubsubMessage] = []
    events = size = 0
    for message, count in messages:
        length = len(message.data)
        if gathered and (single or len(gathered) == MAX_MESSAGES_PER_CALL or size + length > _BYTES_A_CALL):
            yield gathered, events
            gathered, events, size = [], 0, 0
        gathered.append(message)
        events += count
        size += length
    if gathered:
        yield gathered, events
