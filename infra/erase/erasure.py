"""Erase users: mark their days, delete their rows, compute the days again, and read that nothing is left.

Every step can be repeated. The log row and the marks are written before anything is deleted, so a repeated erasure
knows the days of an interrupted one although their events are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from infra.erase.aggregate_rows import CellOfUser
from infra.erase.log import Erasure, ErasureLog
from infra.erase.plan import Plan, days_with_runs
from infra.erase.survey import Counts, make_survey
from infra.erase.users import Users
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import AGGREGATES, EVENTS, REJECTED, Bigtable
from shared.bigtable.mutations import Mutations
from shared.contracts.model import Contract
from shared.tables.state import StateTable

_ROWS_PER_WRITE = 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an erasure.

    Attributes:
        erasure: its row in the log.
        computed: the days that were computed again.
        left: what was still found at the end, such as events that arrived meanwhile.
    """

    erasure: Erasure
    computed: list[date]
    left: Counts


class Eraser:
    """Erases users of one contract."""

    def __init__(
        self,
        bigtable: Bigtable,
        contract: Contract,
        *,
        cpu: float | None = None,
        report: Callable[[str], None] = lambda _line: None,
        rows_per_write: int = _ROWS_PER_WRITE,
    ) -> None:
        """Prepare without any call.

        Args:
            bigtable: the instance.
            contract: of the events.
            cpu: CPUs that the computation of a day may use; as many as the process sees by default.
            report: called with a line about each step when it begins.
            rows_per_write: rows to delete in one write.
        """
        self._bigtable = bigtable
        self._contract = contract
        self._cpu = cpu
        self._report = report
        self._rows_per_write = rows_per_write
        self._state = StateTable(bigtable)
        self._log = ErasureLog(bigtable)

    async def erase(self, users: Users, plan: Plan) -> Outcome:
        """Erase users.

        Raises:
            StoreUnavailableError: Bigtable didn't respond in time. A repeated erasure goes on.
            StoreRefusedError: Bigtable refused a call permanently.
        """
        erasure = Erasure.begin(len(users), plan.survey.counts, plan.marked)
        await self._log.write(erasure)
        self._report(f"marking {len(plan.marked):,} days")
        await self._state.mark_late(plan.marked)
        for table, keys in (
            (REJECTED, plan.survey.rejected.keys),
            (AGGREGATES, plan.survey.aggregates.keys),
            (EVENTS, plan.survey.events.keys),
        ):
            self._report(f"deleting {len(keys):,} rows of {table}")
            await self._delete_rows(table, keys)
        computed = await self._compute(plan)
        runs = await self._runs(computed)
        self._report("reading all tables again")
        found = await make_survey(self._bigtable, self._contract, users, runs)
        if found.cells:
            self._report(f"deleting {len(found.cells):,} cells of aggregates that no run replaces")
            await self._delete_cells(found.cells)
            found = await make_survey(self._bigtable, self._contract, users, runs)
        if not found.counts:
            erasure = await self._log.finish(erasure, plan.unfinished)
        return Outcome(erasure, computed, found.counts)

    async def _compute(self, plan: Plan) -> list[date]:
        """Compute the marked days again that have a run; return them."""
        pipeline = AggregatePipeline(self._bigtable, self._contract, cpu=self._cpu)
        days = await days_with_runs(self._state, plan.marked)  # a run may have begun since the plan
        for day in days:
            self._report(f"computing {day}")
            await pipeline.run(day)
        return days

    async def _runs(self, days: Sequence[date]) -> dict[date, int]:
        """Return the start of the current run of each day."""
        if not days:
            return {}
        runs = await self._state.runs(days[0], days[-1])
        return {day: runs[day].micros for day in days if day in runs}

    async def _delete_rows(self, table: str, keys: Sequence[bytes]) -> None:
        for start in range(0, len(keys), self._rows_per_write):
            mutations = Mutations()
            for key in keys[start : start + self._rows_per_write]:
                mutations.delete_row(key)
            await self._bigtable.write(table, mutations)

    async def _delete_cells(self, cells: Sequence[CellOfUser]) -> None:
        for start in range(0, len(cells), self._rows_per_write):
            mutations = Mutations()
            for cell in cells[start : start + self._rows_per_write]:
                mutations.delete_cells(cell.row_key, cell.family, cell.qualifier, cell.micros, cell.micros + 1_000)
            await self._bigtable.write(AGGREGATES, mutations)
