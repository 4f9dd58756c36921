"""Stores the records of one range, in order and within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TypeVar

from msgspec import structs

from shared.ingest.pipeline import IngestPipeline
from shared.load.objects import ReadRange
from shared.pubsub.message import MAX_UNPACKED_BYTES
from shared.sources.records import MAX_QUOTED_BYTES, Record, Unreadable, batches_of
from shared.tables.loads import MAX_PROBLEMS, Progress
from shared.timestamps import now
from shared.validation.results import Accepted, Finding, Rejected, Verdict

# Records and bytes that are validated and stored together, and the batches in flight.
_BATCH_ITEMS, _BATCH_BYTES, _MAX_BATCHES = 500, 512 * 1024, 4
# Items that are skipped between two looks at the clock.
_SKIP_ITEMS = 10_000
_CHECKPOINT_SECONDS = 20.0

T = TypeVar("T")
Batch = Sequence[Record | Unreadable]
Position = Callable[[Record | Unreadable], str]
Checkpoint = Callable[[Progress], Awaitable[None]]


class OutOfTimeError(Exception):
    """The time limit of a request has passed before a record was complete."""


def limited(read: ReadRange, deadline: float) -> ReadRange:
    """Return a function that reads like another one, and raises OutOfTimeError from a monotonic time on."""

    def read_in_time(start: int, end: int) -> bytes:
        if time.monotonic() >= deadline:
            raise OutOfTimeError
        return read(start, end)

    return read_in_time


class RangeRun:
    """Stores what a range has after the items that an earlier request has stored.

    Attributes:
        progress: how far the range is stored; only batches that are stored completely count.
        moved: whether this run has stored anything.
    """

    def __init__(
        self,
        ingestion: IngestPipeline,
        items: Iterator[Record | Unreadable],
        progress: Progress,
        *,
        published: datetime,
        position: Position,
        describe: Callable[[str], str],
        deadline: float,
    ) -> None:
        """Prepare the run.

        Args:
            ingestion: stores events.
            items: of the whole range; reading them blocks.
            progress: of earlier requests.
            published: the publish time of the events.
            position: names the position of an item, for people.
            describe: returns what is kept of the text of a problem.
            deadline: the monotonic time from which on no further batch is read.
        """
        self.progress = progress
        self.moved = False
        self._ingestion, self._items = ingestion, items
        self._published, self._deadline = published, deadline
        self._position, self._describe = position, describe

    async def run(self, checkpoint: Checkpoint) -> bool:
        """Store the rest of the range; return whether its end is reached.

        Args:
            checkpoint: stores the progress; is called again and again.

        Raises:
            SourceError: the range can't be read.
            TransientError, PermanentError: the rest isn't stored.
        """
        try:
            await self._skip(self.progress.items)
        except OutOfTimeError:
            return False
        unread = batches_of(self._items, _BATCH_ITEMS, _BATCH_BYTES)
        batches: deque[asyncio.Task[Progress]] = deque()
        saved, ended = time.monotonic(), False
        try:
            while not ended and time.monotonic() < self._deadline:
                try:
                    batch = await _in_thread(partial(next, unread, []))
                except OutOfTimeError:
                    break
                if batch:
                    batches.append(asyncio.create_task(self._store(batch)))
                ended = not batch
                if len(batches) >= _MAX_BATCHES:
                    self._add(await batches.popleft())
                if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                    await checkpoint(self.progress)
                    saved = time.monotonic()
            while batches:
                self._add(await batches.popleft())
        finally:
            for unfinished in batches:
                unfinished.cancel()
            await asyncio.gather(*batches, return_exceptions=True)
        return ended

    async def _skip(self, count: int) -> None:
        """Skip the items that are stored; raises OutOfTimeError."""
        while count:
            if time.monotonic() >= self._deadline:
                raise OutOfTimeError
            size = min(count, _SKIP_ITEMS)
            await _in_thread(partial(deque, islice(self._items, size), 0))
            count -= size

    async def _store(self, batch: Batch) -> Progress:
        """Store a batch; return the progress that it makes."""
        records = [item for item in batch if isinstance(item, Record)]
        verdicts = self._validate(records)
        accepted = [verdict for verdict in verdicts if type(verdict) is Accepted]
        rejected = [
            self._ingestion.store([verdict], self._published, self._position(record))
            for record, verdict in zip(records, verdicts, strict=True)
            if type(verdict) is Rejected
        ]
        await asyncio.gather(self._ingestion.store(accepted, self._published, ""), *rejected)
        unreadable = [item for item in batch if isinstance(item, Unreadable)]
        problems = [f"{self._position(item)}: {self._describe(item.problem)}" for item in unreadable[:MAX_PROBLEMS]]
        return Progress(len(batch), len(accepted), len(rejected), len(unreadable), problems)

    def _validate(self, records: Sequence[Record]) -> list[Verdict]:
        """Validate records; one that no message could carry is rejected, since decoding it may exceed the memory."""
        if all(len(record.raw) <= MAX_UNPACKED_BYTES for record in records):
            return self._ingestion.validate_all([record.raw for record in records], self._published)
        verdicts: list[Verdict] = []
        for record in records:
            if (size := len(record.raw)) > MAX_UNPACKED_BYTES:
                finding = Finding("too_large", "", f"{size} bytes", f"at most {MAX_UNPACKED_BYTES} bytes")
                verdicts.append(self._ingestion.reject(record.raw[:MAX_QUOTED_BYTES], finding))
            else:
                verdicts += self._ingestion.validate_all([record.raw], self._published)
        return verdicts

    def _add(self, batch: Progress) -> None:
        total = self.progress
        self.moved = True
        self.progress = structs.replace(
            total,
            items=total.items + batch.items,
            stored=total.stored + batch.stored,
            rejected=total.rejected + batch.rejected,
            unreadable=total.unreadable + batch.unreadable,
            problems=[*total.problems, *batch.problems][:MAX_PROBLEMS],
            updated=now(),
        )


async def _in_thread(call: Callable[[], T]) -> T:
    """Return the result of a blocking call. A cancelled caller waits for it: a running iterator can't be closed."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
