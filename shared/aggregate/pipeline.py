"""The aggregation of a day: read its events, compute its measures and write them as one atomic run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import date, datetime, timedelta
from functools import partial

import msgspec

from shared import row_keys
from shared.aggregate.day_requests import TODAY, requested_days
from shared.aggregate.quality import Quality
from shared.aggregate.rollup_runner import RollupRunner
from shared.aggregate.spans import mergeable_functions
from shared.bigtable.client import Bigtable
from shared.contracts.model import RESERVED_DIMENSION, Contract
from shared.errors import StoreUnavailableError
from shared.pubsub.message import Message
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable, LargeRow
from shared.tables.rejected import RejectedTable
from shared.tables.run_writer import RunWriter
from shared.tables.state import MAX_STALENESS, Engine, Run, StateTable
from shared.tables.user_events import group_by_user
from shared.timestamps import EPOCH, days_between, end_of_day, now

# Shards of a day scanned concurrently, so that the server prepares some while others are processed.
_SCANS = 16
# How far back an empty request looks for missed days. Pub/Sub retains messages no longer than that either, so a longer
# outage needs manual work anyway.
MAX_MISSED_DAYS = 31
# Days before a day whose runs say how many events to expect: a week has each weekday.
_EXPECTED_FROM_DAYS = 7


class Summary(msgspec.Struct, frozen=True):
    """The outcome of one run.

    Attributes:
        day: the day that was computed.
        complete: whether the run has certainly read all events of the day that were stored before its end.
        horizon: the time up to which the run has certainly read all stored events.
        events: number of events counted.
        repeated: number of further cells with an id that the user already has that day; only the newest cell counts.
        rejected: number of rejected events published that day.
        share_rejected: rejected events as a share of all events.
        too_many_rejected: whether that share exceeds the contract's `max_rejected`.
        large_rows: number of rows of `events` that near the size that Bigtable can't read.
        rows: number of rows written.
        swept: number of rows from which the sweep deleted cells of earlier runs.
    """

    day: date
    complete: bool
    horizon: datetime
    events: int
    repeated: int
    rejected: int
    share_rejected: float
    too_many_rejected: bool
    large_rows: int
    rows: int
    swept: int


class ClaimedRun(msgspec.Struct, frozen=True):
    """A run of a day that has begun and isn't finished.

    Attributes:
        began: time before the first read; an event that is stored later may be missing.
        start: claimed by no other run; the timestamp of all cells.
        horizon: time up to which it will certainly have read all stored events.
        earlier_dimensions: that the run before it computed.
    """

    day: date
    began: datetime
    start: datetime
    horizon: datetime
    earlier_dimensions: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the horizon is after the end of the day."""
        return self.horizon >= end_of_day(self.day)


class AggregatePipeline:
    """Computes the days of one contract."""

    def __init__(
        self,
        bigtable: Bigtable,
        contract: Contract,
        *,
        report: Callable[[Summary], None] | None = None,
        report_large_row: Callable[[date, LargeRow], None] | None = None,
        deadline: float | None = None,
        cpu: float | None = None,
    ) -> None:
        """Prepare the pipeline without any call.

        Args:
            bigtable: client of the instance with the tables.
            contract: defines the measures.
            report: called with the summary of every finished run.
            report_large_row: called with the day and each large row when it is read.
            deadline: longest time of a run in seconds; unlimited by default.
            cpu: CPUs that a run may use; as many as the process sees by default.
        """
        self._report = report
        self._report_large_row = report_large_row
        self._deadline = deadline
        self._cpu = cpu
        self._contract = contract
        self._staleness = MAX_STALENESS if bigtable.app_profile else timedelta()
        self._state = StateTable(bigtable, staleness=self._staleness)
        self._events = EventsTable(bigtable, contract.bucket)
        self._rejected = RejectedTable(bigtable)
        self._aggregates = AggregatesTable(bigtable, self._state)

    async def run(self, day: date) -> Summary:
        """Compute a day from its events; a rerun leaves the same rows.

        Raises:
            StoreUnavailableError: Bigtable didn't respond in time, or the run exceeded the deadline.
            StoreRefusedError: Bigtable refused a call permanently.
        """
        try:
            async with asyncio.timeout(self._deadline) as deadline:
                return await self._run(day)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise StoreUnavailableError(f"{day}: the run didn't finish within {self._deadline:g} s") from None

    async def _run(self, day: date) -> Summary:
        claimed = await self.begin(day)
        quality, writer = Quality(self._contract.max_rejected), self.writer(claimed)
        async with RollupRunner(self._contract, self._cpu) as runner:
            await self._read(day, runner, quality, writer)
            async with aclosing(runner.finish()) as remaining:
                async for measured in remaining:
                    await writer.write(measured)
        return await self.finish(claimed, quality, writer.rows)

    async def begin(self, day: date) -> ClaimedRun:
        """Begin a run of a day."""
        began = now()
        earlier = await self._state.run(day)
        start = await self._state.claim_start(day)
        dimensions = tuple(earlier.dimensions) if earlier else ()
        return ClaimedRun(day, began, start, began - self._staleness, dimensions)

    def writer(self, claimed: ClaimedRun) -> RunWriter:
        """Return a writer of the run's rows; several can write the same run."""
        return self._aggregates.begin(claimed.day, claimed.start)

    async def finish(self, claimed: ClaimedRun, quality: Quality, rows: int, engine: Engine = "function") -> Summary:
        """Finish a run whose measures are written, so that readers see it; finishing it again changes nothing.

        Args:
            claimed: the run.
            quality: counts of its stored events; the counts of rejected events are added.
            rows: number of rows written.
            engine: what computed them.
        """
        day, writer = claimed.day, self.writer(claimed)
        quality.rejected, quality.rules = await self._rejected.count(day)
        await writer.write(quality.rows())
        dimensions = [*(aggregate.dimension for aggregate in self._contract.aggregates), RESERVED_DIMENSION]
        functions = mergeable_functions(self._contract.aggregates)
        run = Run(
            writer.micros,
            quality.stored,
            quality.repeated,
            dimensions,
            functions,
            engine=engine,
            horizon_micros=(claimed.horizon - EPOCH) // timedelta(microseconds=1),
        )
        await self._state.finish_run(day, run)
        swept = await self._aggregates.sweep(day, {*dimensions, *claimed.earlier_dimensions})
        await self._state.clear_late(day, claimed.began)
        summary = Summary(
            day=day,
            complete=claimed.is_complete,
            horizon=claimed.horizon,
            events=quality.stored,
            repeated=quality.repeated,
            rejected=quality.rejected,
            share_rejected=quality.share_rejected,
            too_many_rejected=quality.too_many_rejected,
            large_rows=quality.large_rows,
            rows=rows + writer.rows,
            swept=swept,
        )
        if self._report:
            self._report(summary)
        return summary

    async def days(self, message: Message) -> list[date]:
        """Return the days that a message requests, oldest first.

        An empty message requests all days due: the day before its publication, the days marked by late events, and the
        missed days. A request for today requests the day of its publication, unless a run of that day has started
        since: requests that wait behind a long or failed run don't add up to further runs.

        Raises:
            RequestError: the message isn't a valid request.
        """
        requested = requested_days(message)
        if requested == TODAY:
            today = message.published.date()
            return [] if await self._state.has_started_since(today, message.published) else [today]
        if requested is not None:
            return requested
        yesterday = message.published.date() - timedelta(days=1)
        late, missed = await asyncio.gather(self._state.late_days(), self._missed_days(yesterday))
        return sorted({*late, *missed, yesterday})

    async def expected_events(self, day: date) -> int:
        """Return the number of events that a day may have: the largest of its own run and those of the days before."""
        runs = await self._state.runs(day - timedelta(days=_EXPECTED_FROM_DAYS), day)
        return max((run.events for run in runs.values()), default=0)

    async def _missed_days(self, yesterday: date) -> list[date]:
        """Return the days of the last `MAX_MISSED_DAYS` since the first run that no run has read completely.

        Without any earlier run, no day counts as missed.
        """
        first = yesterday - timedelta(days=MAX_MISSED_DAYS)
        runs = await self._state.runs(first, yesterday)
        if not await self._state.has_run_before(first):
            if not runs:
                return []
            first = min(runs)
        return [day for day in days_between(first, yesterday) if not (day in runs and runs[day].saw_all_of(day))]

    async def _read(self, day: date, runner: RollupRunner, quality: Quality, writer: RunWriter) -> None:
        """Read a day's events into the rollup and their findings into the quality, and write all final measures.

        A scan that completes a batch waits until its measures are written; the other scans continue meanwhile.
        """
        scans = asyncio.Semaphore(_SCANS)

        report = partial(self._report_large_row, day) if self._report_large_row else None

        async def read_shard(prefix: bytes) -> None:
            async with scans:
                async for users in group_by_user(self._events.of_shard(prefix)):
                    if measured := await runner.add(quality.count_users(users, report)):
                        await writer.write(measured)

        await asyncio.gather(*(read_shard(prefix) for prefix in row_keys.shard_prefixes(day)))
