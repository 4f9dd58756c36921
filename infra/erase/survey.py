"""The survey of everything that the tables have of some users."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import msgspec

from infra.erase.aggregate_rows import AggregateRows, CellOfUser, find_aggregate_rows
from infra.erase.event_rows import EventRows, find_event_rows
from infra.erase.rejected_rows import RejectedRows, find_rejected_rows
from infra.erase.users import Users
from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract


class Counts(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        rows: rows of `events`.
        events: in these rows.
        findings: number of these events with findings.
        rejected: rejected events.
        aggregates: rows of `aggregates` by a user.
        cells: cells of other rows of `aggregates` that contain a user, in all versions.
    """

    rows: int = 0
    events: int = 0
    findings: int = 0
    rejected: int = 0
    aggregates: int = 0
    cells: int = 0

    def __bool__(self) -> bool:
        return self != Counts()


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that the tables have of some users."""

    events: EventRows
    rejected: RejectedRows
    aggregates: AggregateRows
    cells: list[CellOfUser]

    @property
    def counts(self) -> Counts:
        """The numbers of what was found."""
        return Counts(
            rows=len(self.events.keys),
            events=self.events.events,
            findings=self.events.findings,
            rejected=len(self.rejected.keys),
            aggregates=len(self.aggregates.keys),
            cells=len(self.cells),
        )


async def make_survey(
    bigtable: Bigtable, contract: Contract, users: Users, runs: Mapping[date, int] | None = None
) -> Survey:
    """Read what the tables have of users.

    Args:
        bigtable: the instance.
        contract: of the events.
        users: the users.
        runs: see `AggregateRows.without_runs`; none by default.
    """
    events, rejected, aggregates = await asyncio.gather(
        find_event_rows(bigtable, users.stored),
        find_rejected_rows(bigtable, users),
        find_aggregate_rows(bigtable, contract, users),
    )
    return Survey(events, rejected, aggregates, aggregates.without_runs(runs or {}))
