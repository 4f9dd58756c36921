"""The table `state`: the current run of each day, and the days with late events."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec

from shared import row_keys
from shared.bigtable.client import STATE, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.timestamps import EPOCH, MICROSECONDS_PER_DAY, end_of_day, now

FAMILY = "s"
_RUN, _LATE = b"run", b"late"

# Seconds during which a further late event doesn't mark its day again.
REMARK_SECONDS = 60.0
# Seconds that a mark may be old when it is stored; an older one is stored again with the current time.
MARK_DELAY_SECONDS = 540.0
# Seconds by which the clocks of two instances may differ.
MAX_CLOCK_SKEW_SECONDS = 300.0
# A run keeps marks that are younger than its start minus this margin. An event stored during the run may rely on a mark
# set up to REMARK_SECONDS before. The mark may be MARK_DELAY_SECONDS old when it is stored, by another clock.
CLEAR_MARGIN = timedelta(seconds=REMARK_SECONDS + MARK_DELAY_SECONDS + MAX_CLOCK_SKEW_SECONDS)
# A read through an app profile may miss the writes of this time before it. This is the documented bound of Data Boost
# (https://cloud.google.com/bigtable/docs/data-boost-overview). Multi-cluster routing has no documented bound and is
# usually behind by seconds or minutes (https://cloud.google.com/bigtable/docs/replication-overview).
MAX_STALENESS = timedelta(minutes=35)

Engine = Literal["function", "beam"]


class Run(msgspec.Struct, frozen=True):
    """A finished run of a day.

    Attributes:
        micros: its start in microseconds since 1970, the timestamp of all its cells.
        events: number of events it counted.
        repeated: number of further cells with the id of one of those events.
        dimensions: names of the dimensions it computed.
        functions: the function of each mergeable measure, by dimension and name.
        engine: what computed it: function, the code of the function `aggregate`, or beam.
        horizon_micros: the time up to which it has certainly read all stored events; its start by default.
    """

    micros: int
    events: int
    repeated: int
    dimensions: list[str]
    functions: dict[str, dict[str, str]] = {}
    engine: Engine = "function"
    horizon_micros: int = 0

    @property
    def horizon(self) -> datetime:
        """The time up to which the run has certainly read all stored events; it may have read some later ones."""
        return EPOCH + timedelta(microseconds=self.horizon_micros or self.micros)

    def saw_all_of(self, day: date) -> bool:
        """Return whether the horizon of the run is after the end of its day; otherwise the run is partial."""
        return self.partial_until(day) is None

    def partial_until(self, day: date) -> datetime | None:
        """Return the horizon of a partial run of a day; None for a complete one."""
        return self.horizon if self.horizon < end_of_day(day) else None


class StateTable:
    """Reads and writes runs and late days."""

    def __init__(self, bigtable: Bigtable, *, staleness: timedelta = timedelta()) -> None:
        """Prepare the table without any call.

        Args:
            bigtable: client of the instance with the table.
            staleness: how long before a read the last write may be that it misses.
        """
        self._bigtable = bigtable
        self._staleness = staleness
        self._marked: dict[date, float] = {}
        self._marking: dict[date, asyncio.Task[None]] = {}

    async def run(self, day: date) -> Run | None:
        """Return the current run of a day: the finished run that started last."""
        from shared.bigtable.bigtable_pb2 import RowFilter as Filter  # late: see `wire_format`

        scan = Scan(keys=[row_keys.state_row("run", day)], filter=Filter(cells_per_column_limit_filter=1))
        rows = [row async for row in self._bigtable.read(STATE, scan)]
        return msgspec.json.decode(rows[0].cells[0].value, type=Run) if rows else None

    async def runs(self, first: date, last: date) -> dict[date, Run]:
        """Return the current run of each day from `first` to `last` that has one."""
        from shared.bigtable.bigtable_pb2 import RowFilter as Filter  # late: see `wire_format`

        ranges = [(row_keys.state_row("run", first), row_keys.state_row("run", last + timedelta(days=1)))]
        scan = Scan(ranges=ranges, filter=Filter(cells_per_column_limit_filter=1))
        rows = [row async for row in self._bigtable.read(STATE, scan)]
        return {row_keys.day_of_state_row(row.key): msgspec.json.decode(row.cells[0].value, type=Run) for row in rows}

    async def has_run_before(self, day: date) -> bool:
        """Return whether any earlier day has a run."""
        scan = Scan(ranges=[(b"run#", row_keys.state_row("run", day))], limit=1)
        return bool([row async for row in self._bigtable.read(STATE, scan)])

    async def claim_start(self, day: date) -> datetime:
        """Return a start for a run of a day: later than its current run, and claimed by no other run.

        Clocks alone would let two runs share their timestamps, and readers would see a mixture of both.
        """
        claim = uuid.uuid4().hex.encode()
        start = now()
        while True:
            current = await self.run(day)
            earlier = [current.micros] if current else []
            earlier += [micros for other, micros in (await self._claims(day)).items() if other != claim]
            micros = max([int(start.timestamp() * 1_000) * 1_000, *(each + 1_000 for each in earlier)])
            mutations = Mutations()
            mutations.delete_cells(row_keys.state_row("claim", day), FAMILY, claim)
            mutations.set_cell(row_keys.state_row("claim", day), FAMILY, claim, micros, b"1")
            await self._bigtable.write(STATE, mutations)
            claims = await self._claims(day)
            claims.pop(claim, None)
            start = EPOCH + timedelta(microseconds=micros)
            # A run that claims the same start at the same time sees this claim, too, and both move on.
            if micros not in claims.values():
                return start
            start += timedelta(milliseconds=random.randint(1, 64))  # noqa: S311 - jitter, no secret

    async def _claims(self, day: date) -> dict[bytes, int]:
        """Return the starts of the runs of a day that are not finished, by their claims."""
        row: Any = await self._bigtable.row(STATE, row_keys.state_row("claim", day))
        return dict(zip(row.qualifiers, row.micros, strict=True)) if row else {}

    async def has_started_since(self, day: date, moment: datetime) -> bool:
        """Return whether a run of a day has started at a moment or later; it may be unfinished, or have failed."""
        current = await self.run(day)
        starts = [*(await self._claims(day)).values(), *([current.micros] if current else ())]
        return max(starts, default=-1) >= (moment - EPOCH) // timedelta(microseconds=1)

    async def unfinished(self, first: date, last: date) -> dict[date, datetime]:
        """Return the latest start of each day from `first` to `last` that a run has claimed and not finished.

        The claim of a run that failed stays until a later run of the day finishes.
        """
        ranges = [(row_keys.state_row("claim", first), row_keys.state_row("claim", last + timedelta(days=1)))]
        rows = [row async for row in self._bigtable.read(STATE, Scan(ranges=ranges))]
        return {row_keys.day_of_state_row(row.key): EPOCH + timedelta(microseconds=max(row.micros)) for row in rows}

    async def finish_run(self, day: date, run: Run) -> None:
        """Write the marker of a run; it becomes the current run unless one that started later has finished."""
        mutations = Mutations()
        # The cell's timestamp is the run's start, so the newest cell is the newest run whichever finishes last.
        mutations.set_cell(row_keys.state_row("run", day), FAMILY, _RUN, run.micros, msgspec.json.encode(run))
        for claim, micros in (await self._claims(day)).items():
            if micros <= run.micros:  # a later run starts after this one in any case
                mutations.delete_cells(row_keys.state_row("claim", day), FAMILY, claim)
        await self._bigtable.write(STATE, mutations)

    async def mark_late_events(self, times: Sequence[int]) -> None:
        """Mark the earlier UTC days of stored events, so that the next scheduled run computes them again.

        Args:
            times: of the events, in microseconds since 1970.
        """
        if not times:
            return
        days = {min(times) // MICROSECONDS_PER_DAY, max(times) // MICROSECONDS_PER_DAY}
        if len(days) > 1:
            days = {micros // MICROSECONDS_PER_DAY for micros in times}
        if days := {day for day in days if day < _today()}:
            await self.mark_late(datetime.fromtimestamp(day * 86_400, UTC).date() for day in days)

    async def mark_late_rejected(self, published: datetime) -> None:
        """Mark the day on which rejected events were published, if it is an earlier one; `quality` counts them."""
        if int(published.timestamp()) // 86_400 < _today():
            await self.mark_late([published.date()])

    async def mark_late(self, days: Iterable[date]) -> None:
        """Mark days, each at most once per `REMARK_SECONDS`; return when the marks are stored."""
        # Wall time: the monotonic clock of a frozen instance may stand still.
        now = time.time()
        due = {day for day in days if abs(now - self._marked.get(day, -REMARK_SECONDS)) >= REMARK_SECONDS}
        if not due:
            return
        if unmarked := due - self._marking.keys():
            marking = asyncio.get_running_loop().create_task(self._mark(unmarked))
            self._marking.update(dict.fromkeys(unmarked, marking))
        # A caller whose day is being marked waits for that mark.
        await asyncio.gather(*(asyncio.shield(each) for each in {self._marking[day] for day in due}))

    async def _mark(self, days: set[date]) -> None:
        try:
            delay = math.inf
            while not 0 <= delay <= MARK_DELAY_SECONDS:
                marked = time.time()
                mutations = Mutations()
                for day in days:
                    row_key, micros = row_keys.state_row("late", day), int(marked * 1_000) * 1_000
                    mutations.set_cell(row_key, FAMILY, _LATE, micros, b"1")
                await self._bigtable.write(STATE, mutations)
                # A run may have cleared a mark whose storage took long, for example over a freeze of the instance.
                delay = time.time() - marked
            self._marked.update(dict.fromkeys(days, marked))
        finally:
            for day in days:
                del self._marking[day]

    async def late_days(self) -> list[date]:
        """Return the marked days, oldest first."""
        return [row_keys.day_of_state_row(row.key) async for row in self._bigtable.read(STATE, Scan.prefix(b"late#"))]

    async def latest_mark(self, day: date) -> datetime | None:
        """Return the time of the latest mark of a day; None without a mark."""
        row = await self._bigtable.row(STATE, row_keys.state_row("late", day))
        return EPOCH + timedelta(microseconds=max(row.micros)) if row else None

    async def clear_late(self, day: date, started: datetime) -> None:
        """Delete the marks of a day whose events a run has certainly read.

        Args:
            day: of the marks.
            started: when the run started.
        """
        end = int((started - CLEAR_MARGIN - self._staleness).timestamp() * 1_000) * 1_000
        mutations = Mutations()
        mutations.delete_cells(row_keys.state_row("late", day), FAMILY, _LATE, 0, end)
        await self._bigtable.write(STATE, mutations)


def _today() -> int:
    """Return the current UTC day as a number since 1970, by a clock that may be `MAX_CLOCK_SKEW_SECONDS` slow."""
    return int((time.time() + MAX_CLOCK_SKEW_SECONDS) // 86_400)
