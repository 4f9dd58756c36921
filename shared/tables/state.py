"""The table `state`: which run of a day counts, which days late events have touched, where events belong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from shared import row_keys
from shared.bigtable.client import STATE, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Filter, Scan
from shared.contracts.model import Contract
from shared.errors import LayoutChangedError

FAMILY = "s"
_RUN, _LATE, _CONTRACT = b"run", b"late", b"cell_keys"
_CONTRACT_ROW = b"contract"

# A day is marked anew when its mark is this old, in seconds, if more late events come.
MARK_AGAIN = 60.0
# A run leaves marks that are younger than its own start less this: an event stored while it was reading may rest on a
# mark of up to MARK_AGAIN before it was stored, and storing that mark may have taken its deadline (540 s at most).
CLEAR_MARGIN = timedelta(seconds=MARK_AGAIN + 540)


class Run(msgspec.Struct, frozen=True):
    """A finished run of a day.

    Attributes:
        micros: its start, which is the time of all its cells.
        events: how many events it counted.
        repeated: how many more cells had the id of one of those.
        dimensions: which it computed.
    """

    micros: int
    events: int
    repeated: int
    dimensions: list[str]

    def saw_all_of(self, day: date) -> bool:
        """Return whether it began when its day was over."""
        over = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        return self.micros >= int(over.timestamp()) * 1_000_000


class StateTable:
    """Knows of runs, late days and the contract."""

    def __init__(self, bigtable: Bigtable) -> None:
        self._bigtable = bigtable
        self._marked: dict[date, float] = {}
        self._marking: dict[date, asyncio.Task[None]] = {}

    async def run(self, day: date) -> Run | None:
        """Return the run of a day that counts: of the finished ones, that which started last."""
        scan = Scan(keys=[row_keys.state_row("run", day)], filter=Filter(cells_per_column_limit_filter=1))
        rows = [row async for row in self._bigtable.read(STATE, scan)]
        return msgspec.json.decode(rows[0].cells[0].value, type=Run) if rows else None

    async def runs(self, first: date, last: date) -> dict[date, Run]:
        """Return the runs that count of the days from `first` to `last`, of those days that have one."""
        ranges = [(row_keys.state_row("run", first), row_keys.state_row("run", last + timedelta(days=1)))]
        scan = Scan(ranges=ranges, filter=Filter(cells_per_column_limit_filter=1))
        rows = [row async for row in self._bigtable.read(STATE, scan)]
        return {row_keys.day_of_state_row(row.key): msgspec.json.decode(row.cells[0].value, type=Run) for row in rows}

    async def has_run_before(self, day: date) -> bool:
        """Return whether any earlier day has a run."""
        scan = Scan(ranges=[(b"run#", row_keys.state_row("run", day))], limit=1)
        return bool([row async for row in self._bigtable.read(STATE, scan)])

    async def finish_run(self, day: date, run: Run) -> None:
        """Make a run count, unless one that started later does already."""
        mutations = Mutations()
        # The cell's time is the run's start, so the newest cell is the newest run, whoever finishes last.
        mutations.set_cell(row_keys.state_row("run", day), FAMILY, _RUN, run.micros, msgspec.json.encode(run))
        await self._bigtable.write(STATE, mutations)

    async def mark_late(self, days: Iterable[date]) -> None:
        """Mark days to be computed again, each at most once in `MARK_AGAIN` seconds; returns when that is stored."""
        clock = time.monotonic()
        due = {day for day in days if clock - self._marked.get(day, -MARK_AGAIN) >= MARK_AGAIN}
        if not due:
            return
        if fresh := due - self._marking.keys():
            marking = asyncio.get_running_loop().create_task(self._mark(fresh, clock))
            self._marking.update(dict.fromkeys(fresh, marking))
        # Who comes while a day is being marked waits for that mark and makes none of his own.
        await asyncio.gather(*(asyncio.shield(each) for each in {self._marking[day] for day in due}))

    async def _mark(self, days: set[date], clock: float) -> None:
        mutations = Mutations()
        micros = int(time.time() * 1_000) * 1_000
        for day in days:
            mutations.set_cell(row_keys.state_row("late", day), FAMILY, _LATE, micros, b"1")
        try:
            await self._bigtable.write(STATE, mutations)
            self._marked.update(dict.fromkeys(days, clock))
        finally:
            for day in days:
                del self._marking[day]

    async def late_days(self) -> list[date]:
        """Return the marked days, oldest first."""
        return [row_keys.day_of_state_row(row.key) async for row in self._bigtable.read(STATE, Scan.prefix(b"late#"))]

    async def clear_late(self, day: date, started: datetime) -> None:
        """Remove the marks of a day that a run started then has certainly seen the events of."""
        end = int((started - CLEAR_MARGIN).timestamp() * 1_000) * 1_000
        mutations = Mutations()
        mutations.delete_cells(row_keys.state_row("late", day), FAMILY, _LATE, 0, end)
        await self._bigtable.write(STATE, mutations)

    async def verify_layout(self, contract: Contract) -> None:
        """See to it that all events go by one idea of where they belong; the first contract sets it.

        Raises:
            LayoutChangedError: this contract would put events elsewhere than the tables have them.
        """
        mine = msgspec.json.encode(contract.fingerprint(), order="deterministic")
        held = await self._places()
        if held is None:
            mutations = Mutations()
            mutations.set_cell(_CONTRACT_ROW, FAMILY, _CONTRACT, 0, mine)
            await self._bigtable.write(STATE, mutations)
            held = await self._places()  # of two that began together, the later word holds for both
        if held != mine:
            raise LayoutChangedError(
                f"{contract.path}: this contract would put events elsewhere than the tables have them, so an "
                "event that comes again would be stored twice. "
                f"Found {mine.decode()}, expected {(held or b'').decode()}. "
                "Use the earlier id, user, time and bucket, or an instance of its own for the new ones."
            )

    async def _places(self) -> bytes | None:
        row: Any = await self._bigtable.row(STATE, _CONTRACT_ROW)
        return row.cells[0].value if row else None
