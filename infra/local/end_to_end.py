"""Run the whole pipeline once on the emulators: files → topic → function → tables → aggregates; show the results."""

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
from infra.local.emulators import Engine
from infra.local.stack import Stack
from shared.aggregate.fan_out import request_days
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.read_rows import Scan
from shared.config import Settings
from shared.contracts.model import Contract
from shared.errors import StackError
from shared.pubsub.publisher import Publisher
from shared.row_keys import SHARDS, user_of_row
from shared.sources.files import SourceReader
from shared.tables.aggregates import AggregatesTable
from shared.tables.rejected import RejectedTable
from shared.tables.state import StateTable
from shared.timestamps import days_between, parse_day

# Seconds of each wait; far more than a run takes, so that a hung run ends.
_MAX_WAIT = 300.0
_POLL = 0.05
_SCANS = 8  # shards read at once
_HIGHEST = 3  # values shown of each dimension

Measures = dict[str, Any]


class EndToEndRun:
    """One run of the pipeline on a local stack. `report` has the results afterwards."""

    def __init__(self, stack: Stack, contract: Contract, console: Console) -> None:
        self.report = Report()
        self._stack = stack
        self._contract = contract
        self._console = console
        self._settings = Settings.from_environment(stack.environment, contract=contract.path)
        self._whole_days = {each.dimension for each in contract.aggregates if each.by is None}
        self._job = ""
        self._highest: list[tuple[date, str, str, list[tuple[str, Measures]]]] = []

    async def run(self, reader: SourceReader, bar: Bar) -> None:
        """Publish, wait until every message is processed, aggregate, and read the tables back."""
        began = datetime.now(UTC)
        async with Bigtable(self._settings) as bigtable:
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
                    await self._wait_until_acknowledged(messages, bar)
                days = await _count_events(bigtable)
                bar.begin("aggregating", None)
                with self._timed("aggregate"):
                    await self._aggregate(bigtable, list(days), began.date())
            with self._timed("read back"):
                self.report.days = days
                self.report.stored = sum(events for events, _ in days.values())
                await _count_rejected(bigtable, days_between(began.date(), datetime.now(UTC).date()), self.report)
                self._highest = await self._find_highest(bigtable)

    async def _wait_until_acknowledged(self, messages: int, bar: Bar) -> None:
        """Wait until the function has acknowledged every message: its events are stored or rejected."""
        bar.begin("storing", messages)
        deadline = time.monotonic() + _MAX_WAIT
        while (done := self._stack.deliveries("events-ingest").get("acknowledged", 0)) < messages:
            self._check(deadline, "not every message is stored or rejected")
            bar.update(done, done * self.report.published // messages, messages=done)
            await asyncio.sleep(_POLL)

    async def _aggregate(self, bigtable: Bigtable, days: list[date], today: date) -> None:
        """Run the daily job, request the days that it leaves out, and wait until each day has a finished run.

        The job requests the days that are due: yesterday and, because their events are late, all past days.
        """
        self._job = await asyncio.to_thread(self._stack.run_job)
        state = StateTable(bigtable)
        unfinished = {*days, today - timedelta(days=1)}
        if not_due := [day for day in days if day >= today]:
            await request_days(self._settings, not_due)
        deadline = time.monotonic() + _MAX_WAIT
        while unfinished:
            self._check(deadline, f"{len(unfinished)} days aren't aggregated")
            unfinished = {day for day in unfinished if await state.run(day) is None}
            if unfinished:
                await asyncio.sleep(_POLL)

    async def _find_highest(self, bigtable: Bigtable) -> list[tuple[date, str, str, list[tuple[str, Measures]]]]:
        """Return, for the busiest day, the values with the highest first measure of each dimension."""
        if not self.report.days:
            return []
        day = max(self.report.days, key=lambda each: self.report.days[each][0])
        aggregates = AggregatesTable(bigtable, StateTable(bigtable))
        highest = []
        for aggregate in self._contract.aggregates:
            measure = aggregate.measures[0].name
            limit = _HIGHEST if aggregate.by else 1
            rows = await aggregates.top(aggregate.dimension, measure, day, limit)
            highest.append((day, aggregate.dimension, measure, rows))
        return highest

    def _check(self, deadline: float, failure: str) -> None:
        self._stack.check()
        if time.monotonic() > deadline:
            raise StackError(f"{failure} after {_MAX_WAIT:g} s; logs:\n{self._stack.describe()}")

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.report.seconds[step] = time.monotonic() - started

    def show(self) -> None:
        """Print the results."""
        console = self._console
        self.report.show(console)
        if self._job:
            console.print(f"aggregated by the job {self._job} of the local schedule, run now")
        for day, dimension, measure, rows in self._highest:
            if rows and dimension in self._whole_days:
                measures = ", ".join(f"{name} {_format(value)}" for name, value in sorted(rows[0][1].items()))
                console.print(f"{day} as a whole: {measures}")
            elif rows:
                console.print(_table(day, dimension, measure, rows))
        seconds = self.report.seconds
        busy = seconds.get("publish", 0) + seconds.get("store", 0)
        rate = f" ({self.report.published / busy:,.0f} events/s through topic and function)" if busy else ""
        console.print("time: " + ", ".join(f"{step} {took:.1f} s" for step, took in seconds.items()) + rate)


def run_end_to_end(
    reader: SourceReader, contract: Contract, console: Console, bar: Bar, save: Path | None, engine: Engine
) -> None:
    """Start the local stack, run the pipeline once, stop the stack, and print the results; write them to `save` too.

    Raises:
        StackError, MissingProgramError: a part can't be started or doesn't answer.
    """
    started = time.monotonic()
    with Stack(contract=Path(contract.path), engine=engine) as stack:
        run = EndToEndRun(stack, contract, console)
        seconds_to_start = time.monotonic() - started
        bar.begin("publishing", reader.total_bytes)
        asyncio.run(run.run(reader, bar))
        run.report.seconds = {"start": seconds_to_start, **run.report.seconds}
    run.show()
    if save is not None:
        run.report.save(save)
        console.print(f"report as JSON: {save}")


def _table(day: date, dimension: str, measure: str, rows: list[tuple[str, Measures]]) -> Table:
    names = [measure, *(name for name in rows[0][1] if name != measure)]
    table = Table(dimension, *names, title=f"{dimension} by {measure}, {day}", title_justify="left")
    for value, measures in rows:
        table.add_row(Text(printable(value[:60])), *(_format(measures.get(name)) for name in names))
    return table


def _format(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


async def _count_events(bigtable: Bigtable) -> dict[date, tuple[int, int]]:
    """Return the number of events and of users of each day in the table `events`."""
    events: dict[date, int] = defaultdict(int)
    users: dict[date, set[str]] = defaultdict(set)
    scans = asyncio.Semaphore(_SCANS)
    without_values = Filter()
    without_values.chain.filters.add(family_name_regex_filter="e")
    without_values.chain.filters.add(strip_value_transformer=True)

    async def count(shard: int) -> None:
        async with scans:
            async for row in bigtable.read(EVENTS, Scan.prefix(f"{shard:02x}#".encode(), filter=without_values)):
                day = parse_day(row.key[3:11].decode())
                events[day] += len(row.cells)
                users[day].add(user_of_row(row.key))

    await asyncio.gather(*(count(shard) for shard in range(SHARDS)))
    return {day: (events[day], len(users[day])) for day in sorted(events)}


async def _count_rejected(bigtable: Bigtable, days: Iterable[date], report: Report) -> None:
    """Add the rejected events that were published on those days to a report."""
    rejected = RejectedTable(bigtable)
    for day in days:
        async for event in rejected.of_day(day):
            report.reject(event.findings, f"message {event.source}")
