"""Roll days up: read a day's events, compute its measures, write them as one run that readers see whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import date, timedelta

import msgspec

from shared import row_keys
from shared.aggregate.day_requests import requested_days
from shared.aggregate.quality import Quality
from shared.aggregate.rollup_runner import RollupRunner
from shared.bigtable.client import Bigtable
from shared.bigtable.row_merger import Row
from shared.contracts.model import RESERVED_DIMENSION, Contract
from shared.errors import StoreUnavailableError
from shared.pubsub.message import Message
from shared.tables.aggregates import AggregatesTable, RunWriter
from shared.tables.events import FAMILY, EventsTable
from shared.tables.rejected import RejectedTable
from shared.tables.state import Run, StateTable
from shared.timestamps import days_between, now

# Shards of a day read side by side: the server prepares some while we take in others.
_SCANS = 16
# How far back an empty request looks for days that were missed. Pub/Sub keeps no message longer than that either, so an
# outage that lasts longer wants a person anyway.
MAX_MISSED_DAYS = 31


class Summary(msgspec.Struct, frozen=True):
    """What one run did.

    Attributes:
        day: YYYY-MM-DD.
        events: counted.
        repeated: cells of an id that the user had that day already; counted once, as the newest of them.
        rejected: events published that day that are in quarantine.
        share_rejected: those among all that came.
        too_many_rejected: whether the contract asks for a warning.
        rows: written.
        swept: rows of earlier runs that lost cells.
    """

    day: date
    events: int
    repeated: int
    rejected: int
    share_rejected: float
    too_many_rejected: bool
    rows: int
    swept: int


class AggregatePipeline:
    """Computes days under one contract."""

    def __init__(
        self,
        bigtable: Bigtable,
        contract: Contract,
        *,
        report: Callable[[Summary], None] | None = None,
        deadline: float | None = None,
    ) -> None:
        """Prepare, without doing anything yet.

        Args:
            bigtable: where the tables are.
            contract: says what is computed.
            report: is told of every run that is finished.
            deadline: seconds that a run may take; any time by default.
        """
        self._report = report
        self._deadline = deadline
        self._contract = contract
        self._state = StateTable(bigtable)
        self._events = EventsTable(bigtable, contract.bucket)
        self._quarantine = RejectedTable(bigtable)
        self._rollups = AggregatesTable(bigtable, self._state)

    async def run(self, day: date) -> Summary:
        """Compute a day from its events; a rerun leaves what the first run left.

        Raises:
            StoreUnavailableError: Bigtable didn't answer in time, or the day took longer than the deadline.
            StoreRefusedError: refused for good.
        """
        try:
            async with asyncio.timeout(self._deadline) as deadline:
                return await self._run(day)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise StoreUnavailableError(f"{day} isn't computed after {self._deadline:g} s") from None

    async def _run(self, day: date) -> Summary:
        started = now()
        earlier = await self._state.run(day)
        quality, run = Quality(self._contract.max_rejected), self._rollups.begin(day, started)
        async with RollupRunner(self._contract) as measuring:
            await self._read(day, measuring, quality, run)
            async with aclosing(measuring.finish()) as finishing:
                async for figures in finishing:
                    await run.write(figures)
        quality.stored = measuring.events
        quality.rejected, quality.rules = await self._quarantine.count(day)
        await run.write(quality.rows())
        dimensions = [*(aggregate.dimension for aggregate in self._contract.aggregates), RESERVED_DIMENSION]
        micros = int(started.timestamp() * 1_000) * 1_000
        await self._state.finish_run(day, Run(micros, measuring.events, quality.repeated, dimensions))
        swept = await self._rollups.sweep(day, {*dimensions, *(earlier.dimensions if earlier else ())})
        await self._state.clear_late(day, started)
        summary = Summary(
            day=day,
            events=measuring.events,
            repeated=quality.repeated,
            rejected=quality.rejected,
            share_rejected=quality.share_rejected,
            too_many_rejected=quality.too_many_rejected,
            rows=run.rows,
            swept=swept,
        )
        if self._report:
            self._report(summary)
        return summary

    async def days(self, message: Message) -> list[date]:
        """Return the days a message asks for, oldest first.

        An empty one asks for what is due: the day before it was published, the days that late events have marked, and
        those that were missed.

        Raises:
            RequestError: it asks for no days that could be computed.
        """
        asked = requested_days(message)
        if asked is not None:
            return asked
        yesterday = message.published.date() - timedelta(days=1)
        late, missed = await asyncio.gather(self._state.late_days(), self._missed(yesterday))
        return sorted({*late, *missed, yesterday})

    async def _missed(self, yesterday: date) -> list[date]:
        """Return the days since the first run, at most `MAX_MISSED_DAYS`, that no run has read completely.

        Where nothing has ever run, nothing was missed.
        """
        first = yesterday - timedelta(days=MAX_MISSED_DAYS)
        runs = await self._state.runs(first, yesterday)
        if not await self._state.has_run_before(first):
            if not runs:
                return []
            first = min(runs)
        return [day for day in days_between(first, yesterday) if not (day in runs and runs[day].saw_all_of(day))]

    async def _read(self, day: date, measuring: RollupRunner, quality: Quality, run: RunWriter) -> None:
        """Measure a day's events, take what was found about them into the quality, and write what is finished.

        A scan whose user fills a batch waits until that is measured and written; the others read on meanwhile.
        """
        scans = asyncio.Semaphore(_SCANS)

        async def read_shard(prefix: bytes) -> None:
            async with scans:
                async for users in _by_user(self._events.of_shard(prefix)):
                    events: list[list[bytes]] = []
                    for rows in users:
                        values, findings, repeated = _each_id_once(rows)
                        events.append(values)
                        quality.warn(findings)
                        quality.repeated += repeated
                    if finished := await measuring.add(events):
                        await run.write(finished)

        await asyncio.gather(*(read_shard(prefix) for prefix in row_keys.shard_prefixes(day)))


async def _by_user(batches: AsyncIterator[list[Row]]) -> AsyncIterator[list[list[Row]]]:
    """Gather neighbouring rows of one user, of all users that are through: with hourly buckets a day is several."""
    user, gathered = b"", list[Row]()
    async for rows in batches:
        users: list[list[Row]] = []
        for row in rows:
            current = b"#".join(row.key.split(b"#")[:3])
            if current != user and gathered:
                users.append(gathered)
                gathered = []
            user = current
            gathered.append(row)
        yield users
    if gathered:
        yield [gathered]


def _each_id_once(rows: list[Row]) -> tuple[list[bytes], list[bytes], int]:
    """Return a user's events of a day, of those with the same id only the newest, with their findings.

    Returns:
        The events, the findings of those that have some, and how many events were left out.
    """
    if len(rows) == 1 and _only_events(rows[0]):
        return rows[0].values, [], 0
    values: dict[bytes, bytes] = {}
    found: dict[bytes, bytes] = {}
    kept: list[bytes] = []
    repeated = 0
    for row in reversed(rows):  # later hours first; within a family the newest cells are first already
        for family, qualifier, value in zip(row.families, row.qualifiers, row.values, strict=True):
            if family != FAMILY:
                found[qualifier] = value  # before or behind the events: Bigtable orders no families
            elif (event_id := qualifier[12:]) in values:
                repeated += 1
            else:
                values[event_id] = value
                kept.append(qualifier)
    findings = [found[qualifier] for qualifier in kept if qualifier in found] if found else []
    return list(values.values()), findings, repeated


def _only_events(row: Row) -> bool:
    """Return whether a row has events of different ids and nothing about them, as almost all rows have."""
    different = {qualifier[12:] for qualifier in row.qualifiers}
    return len(different) == len(row.qualifiers) == row.families.count(FAMILY)
