"""Publish files to a topic: many events per message, many messages per call, several calls at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import accumulate, islice

from google.pubsub_v1.types import PubsubMessage

from infra.batch.report import Report
from infra.batch.task_group import task_group
from shared.pubsub.message import CONTENT_TYPE, LINES, MAX_PACKED_BYTES
from shared.pubsub.packing import MessageTooLargeError, fit
from shared.pubsub.publisher import MAX_MESSAGES_PER_CALL, Publisher
from shared.sources.files import Record, SourceReader, Unreadable

# A PublishRequest may have 10 MB (https://cloud.google.com/pubsub/quotas#resource_limits).
_MAX_BYTES_PER_CALL = 4 * 1024 * 1024
_MAX_CALLS = 4
_LINES_ATTRIBUTES = {CONTENT_TYPE: LINES}


async def publish_files(
    reader: SourceReader,
    publisher: Publisher,
    topic: str,
    *,
    batch_size: int = 100,
    rate: float | None = None,
    progress: Callable[[Report], None] = lambda _report: None,
) -> tuple[Report, int]:
    """Publish the events of files.

    Args:
        reader: reads the files.
        publisher: publishes to the topics of the project.
        topic: the short name of the topic.
        batch_size: the most events per message.
        rate: the most events per second.
        progress: called with the report after each call.

    Returns:
        The report and the number of messages.
    """
    report = Report()
    slots = asyncio.Semaphore(_MAX_CALLS)
    started = time.monotonic()
    message_count = event_count = 0

    async def send(messages: list[PubsubMessage], events: int) -> None:
        try:
            await publisher.publish(topic, messages)
        finally:
            slots.release()
        report.published += events
        progress(report)

    with closing(iter(reader)) as items:
        async with task_group() as tasks:
            for messages, events in calls(_messages(items, report, batch_size), single=rate is not None):
                if rate is not None:
                    await asyncio.sleep(started + event_count / rate - time.monotonic())
                await slots.acquire()
                tasks.create_task(send(messages, events))
                message_count += len(messages)
                event_count += events
    return report, message_count


def _messages(
    items: Iterable[Record | Unreadable], report: Report, batch_size: int
) -> Iterator[tuple[PubsubMessage, int]]:
    """Yield messages of packed events, each with its number of events; report events that fit into no message."""
    events = _events(items, report)
    batch: list[bytes] = []
    while batch := [*batch, *islice(events, batch_size - len(batch))]:
        count = _fitting(batch)
        data, attributes = fit(b"\n".join(batch[:count]), _LINES_ATTRIBUTES)
        yield PubsubMessage(data=data, attributes=attributes), count
        batch = batch[count:]


def _events(items: Iterable[Record | Unreadable], report: Report) -> Iterator[bytes]:
    """Yield the events that fit into a message; report the others and the unreadable items."""
    for item in items:
        if isinstance(item, Unreadable):
            report.add_unreadable(item.source, item.line, item.problem)
        elif len(item.raw) <= MAX_PACKED_BYTES or _fits_compressed(item, report):
            yield item.raw


def _fits_compressed(record: Record, report: Report) -> bool:
    try:
        fit(record.raw, _LINES_ATTRIBUTES)
    except MessageTooLargeError as error:
        report.add_unreadable(record.source, record.line, str(error))
        return False
    return True


def _fitting(events: list[bytes]) -> int:
    """Return how many of the events fit into one message, each with a newline; at least one."""
    if sum(map(len, events)) + len(events) <= MAX_PACKED_BYTES:
        return len(events)
    sizes = accumulate(len(event) + 1 for event in events)
    return max(sum(size <= MAX_PACKED_BYTES for size in sizes), 1)


def calls(
    messages: Iterable[tuple[PubsubMessage, int]], *, single: bool = False
) -> Iterator[tuple[list[PubsubMessage], int]]:
    """Yield the messages of each call with their number of events; `single` puts one message in each, for a rate."""
    batch: list[PubsubMessage] = []
    events = size = 0
    for message, count in messages:
        length = len(message.data)
        if batch and (single or len(batch) == MAX_MESSAGES_PER_CALL or size + length > _MAX_BYTES_PER_CALL):
            yield batch, events
            batch, events, size = [], 0, 0
        batch.append(message)
        events += count
        size += length
    if batch:
        yield batch, events
