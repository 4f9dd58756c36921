"""The whole loop once, on the emulators: files → topic → function → tables → aggregates, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.batch.progress import Bar
from infra.batch.publish import publish_files
from infra.batch.report import Report, printable
from infra.local.stack import Stack
from infra.sources.files import SourceReader
from shared.aggregate.fan_out import request_days
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.read_rows import Filter, Scan
from shared.config import Settings
from shared.contracts.model import Contract
from shared.errors import StackError
from shared.pubsub.publisher import Publisher
from shared.row_keys import SHARDS, user_of_row
from shared.tables.aggregates import AggregatesTable
from shared.tables.rejected import RejectedTable
from shared.tables.state import StateTable
from shared.timestamps import days_between, parse_day

# Nothing here takes that long; it ends a run that hangs instead of leaving a person waiting.
_PATIENCE = 300.0
_POLL = 0.05
_SHOWN = 3


class Loop:
    """One run of the whole loop; `report` has the figures afterwards."""

    def __init__(self, stack: Stack, contract: Contract, console: Console) -> None:
        self.report = Report()
        self._stack = stack
        self._contract = contract
        self._console = console
        self._settings = Settings.from_environment(stack.environment, contract=contract.path)
        self._whole_days = {each.dimension for each in contract.aggregates if each.by is None}
        self._job = ""
        self._tops: list[tuple[date, str, str, list[tuple[str, dict[str, Any]]]]] = []

    async def run(self, reader: SourceReader, bar: Bar) -> None:
        """Publish, wait until every message is dealt with, aggregate, and count what is in the tables."""
        bigtable = Bigtable(self._settings)
        began = datetime.now(UTC)
        try:
            async with Publisher(self._settings) as publisher:
                with self._timed("publish"):
                    self.report, messages = await publish_files(
                        reader,
                        publisher,
                        "events",
                        progress=lambda report: bar.update(
                            reader.bytes_read, report.published, published=report.published
                        ),
                    )
                with self._timed("store"):
                    await self._until_acknowledged(messages, bar)
                days = await count_events(bigtable)
                bar.begin("aggregating", None)
                with self._timed("aggregate"):
                    await self._aggregate(bigtable, list(days), began.date())
            with self._timed("read back"):
                self.report.days = days
                self.report.stored = sum(events for events, _ in days.values())
                await count_rejected(bigtable, days_between(began.date(), datetime.now(UTC).date()), self.report)
                self._tops = await self._find_tops(bigtable)
        finally:
            await bigtable.close()

    async def _aggregate(self, bigtable: Bigtable, days: list[date], today: date) -> None:
        """Have the daily job run, ask for what it leaves out, and wait until the runs of all these days count.

        The job asks for what is due: yesterday, and the days that events came late for, which is all of the past ones.
        """
        from infra.provision.scheduler_client import JOB, run_job  # half a second, which nobody waits for at the start

        await asyncio.to_thread(self._stack.make_schedule)
        await asyncio.to_thread(run_job, self._settings)
        self._job = JOB
        state = StateTable(bigtable)
        waiting = {*days, today - timedelta(days=1)}
        if not_due := [day for day in days if day >= today]:
            await request_days(self._settings, not_due)
        give_up = time.monotonic() + _PATIENCE
        while waiting:
            self._check(give_up, f"{len(waiting)} days aren't aggregated")
            waiting = {day for day in waiting if await state.run(day) is None}
            if waiting:
                await asyncio.sleep(_POLL)

    async def _find_tops(self, bigtable: Bigtable) -> list[tuple[date, str, str, list[tuple[str, dict[str, Any]]]]]:
        """Return, of the busiest day, the values with the highest first measure of each dimension."""
        if not self.report.days:
            return []
        day = max(self.report.days, key=lambda each: self.report.days[each][0])
        rollups = AggregatesTable(bigtable, StateTable(bigtable))
        tops = []
        for aggregate in self._contract.aggregates:
            measure = aggregate.measures[0].name
            limit = _SHOWN if aggregate.by else 1
            tops.append(
                (day, aggregate.dimension, measure, await rollups.top(aggregate.dimension, measure, day, limit))
            )
        return tops

    def _acknowledged(self) -> int:
        return self._stack.relayed("events-ingest").get("acknowledged", 0)

    async def _until_acknowledged(self, messages: int, bar: Bar) -> None:
        """Wait until the function has answered for every message: its events are stored or in quarantine."""
        bar.begin("storing", messages)
        give_up = time.monotonic() + _PATIENCE
        while (done := self._acknowledged()) < messages:
            self._check(give_up, "not every message is stored or rejected")
            bar.update(done, done * self.report.published // messages, messages=done)
            await asyncio.sleep(_POLL)

    def _check(self, give_up: float, what: str) -> None:
        self._stack.check()
        if time.monotonic() > give_up:
            raise StackError(f"{what} after {_PATIENCE:g} s; the logs of the parts: {self._stack.describe()}")

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.report.seconds[part] = time.monotonic() - started

    def show(self) -> None:
        """Print what came of it."""
        console = self._console
        self.report.show(console)
        if self._job:
            console.print(f"aggregated by the job {self._job} of the local schedule, run now")
        for day, dimension, measure, rows in self._tops:
            if not rows:
                continue
            if dimension in self._whole_days:
                figures = ", ".join(f"{name} {_figure(figure)}" for name, figure in sorted(rows[0][1].items()))
                console.print(f"{day} as a whole: {figures}")
            else:
                names = [name for name in rows[0][1] if name != measure]
                title = f"{dimension} by {measure}, {day}"
                table = Table(dimension, measure, *names, title=title, title_justify="left")
                for value, stats in rows:
                    table.add_row(
                        Text(printable(value[:60])), *(_figure(stats.get(name)) for name in (measure, *names))
                    )
                console.print(table)
        seconds = self.report.seconds
        busy = seconds.get("publish", 0) + seconds.get("store", 0)
        rate = f" ({self.report.published / busy:,.0f} events/s through topic and function)" if busy else ""
        console.print("time: " + ", ".join(f"{part} {took:.1f} s" for part, took in seconds.items()) + rate)


def run_loop(reader: SourceReader, contract: Contract, console: Console, bar: Bar, save: Path | None) -> None:
    """Start the local stack, run the loop, end the stack, tell what happened.

    Raises:
        StackError, MissingProgramError: a part can't be started or doesn't answer.
    """
    started = time.monotonic()
    with Stack(contract=Path(contract.path)) as stack:
        loop = Loop(stack, contract, console)
        starting = time.monotonic() - started
        bar.begin("publishing", reader.total_bytes)
        asyncio.run(loop.run(reader, bar))
        loop.report.seconds = {"start": starting, **loop.report.seconds}
    loop.show()
    if save is not None:
        loop.report.save(save)
        console.print(f"the same as JSON: {save}")


def _figure(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


_SCANS = 8


async def count_events(bigtable: Bigtable) -> dict[date, tuple[int, int]]:
    """Return for each day in the table `events` its events and different users."""
    events: dict[date, int] = defaultdict(int)
    users: dict[date, set[str]] = defaultdict(set)
    scans = asyncio.Semaphore(_SCANS)
    only_keys = Filter()
    only_keys.chain.filters.add(family_name_regex_filter="e")
    only_keys.chain.filters.add(strip_value_transformer=True)

    async def count(shard: int) -> None:
        async with scans:
            async for row in bigtable.read(EVENTS, Scan.prefix(f"{shard:02x}#".encode(), filter=only_keys)):
                day = parse_day(row.key[3:11].decode())
                events[day] += len(row.cells)
                users[day].add(user_of_row(row.key))

    await asyncio.gather(*(count(shard) for shard in range(SHARDS)))
    return {day: (events[day], len(users[day])) for day in sorted(events)}


async def count_rejected(bigtable: Bigtable, days: Iterable[date], report: Report) -> None:
    """Add to a report what is in quarantine of those days of publication."""
    quarantine = RejectedTable(bigtable)
    for day in days:
        async for event in quarantine.of_day(day):
            report.reject(event.findings, f"message {event.source}")
