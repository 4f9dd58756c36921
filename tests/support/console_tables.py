"""Tables in memory with the methods that the console reads, and the texts of a hostile producer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.bigtable.row_merger import Cell
from shared.row_keys import cell_key_of, encode, rejected_row
from shared.tables.events import Position
from shared.tables.rejected import RejectedEvent
from shared.tables.state import Run
from shared.validation.results import Finding

DAY = date(2024, 1, 15)
# A script, an attribute, an entity, a link, controls of direction, a control character.
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;script&gt;{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)//</title></textarea></script>",
    "right\u202eto left\u2066\u2069",
    "bell\x07 nul\x00 escape\x1b[31m",
]


def run_of(day: date, **changes: Any) -> Run:
    """Return a run that started three hours after the end of its day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=27)
    return Run(
        **{"micros": int(start.timestamp()) * 1_000_000, "events": 3, "repeated": 0, "dimensions": [], **changes}
    )


class FakeState:
    """Runs, late days and claims."""

    def __init__(self) -> None:
        self.all_runs: dict[date, Run] = {}
        self.late: list[date] = []
        self.claims: dict[date, datetime] = {}

    async def runs(self, first: date, last: date) -> dict[date, Run]:
        return {day: run for day, run in self.all_runs.items() if first <= day <= last}

    async def unfinished(self, first: date, last: date) -> dict[date, datetime]:
        return {day: start for day, start in self.claims.items() if first <= day <= last}

    async def late_days(self) -> list[date]:
        return self.late


class FakeAggregates:
    """Measures by (dimension, value, day), and the values and day of each read of several values."""

    def __init__(self) -> None:
        self.measures: dict[tuple[str, str, date], dict[str, Any]] = {}
        self.asked: list[tuple[list[str], date]] = []

    async def of_values(self, dimension: str, values: Iterable[str], day: date) -> dict[str, dict[str, Any]]:
        self.asked.append((list(values), day))
        found = {value: self.measures.get((dimension, value, day), {}) for value in values}
        return {value: measures for value, measures in found.items() if measures}

    async def of_days(self, dimension: str, value: str, first: date, last: date) -> dict[date, dict[str, Any]]:
        return {
            day: measures
            for (*key, day), measures in self.measures.items()
            if key == [dimension, value] and first <= day <= last
        }

    async def top(self, dimension: str, measure: str, day: date, limit: int) -> list[tuple[str, dict[str, Any]]]:
        rows = [(key[1], found) for key, found in self.measures.items() if (key[0], key[2]) == (dimension, day)]
        return [row for row in rows if measure in row[1]][:limit]


class FakeEvents:
    """Cells of users, newest first, and the arguments of the last read."""

    def __init__(self) -> None:
        self.cells: dict[str, list[Cell]] = {}
        self.asked: dict[str, Any] = {}

    def add(self, user: str, event_id: str, time: datetime, value: bytes) -> None:
        cell_key = cell_key_of(user, encode(event_id), time, "day")
        self.cells.setdefault(user, []).append(Cell("e", cell_key.qualifier, cell_key.micros, value))

    async def cells_of_user(
        self, user: str, start: None, end: datetime, limit: int, lookback_days: int, after: Position | None
    ) -> list[Cell]:
        self.asked = {"end": end, "limit": limit, "lookback_days": lookback_days, "after": after}
        return self.cells.get(user, [])[:limit]


class FakeRejected:
    """Rejected events of one day."""

    def __init__(self) -> None:
        self.events: list[RejectedEvent] = []
        self.day: date | None = None

    def add(self, raw: bytes, *findings: Finding, source: str = "message 1") -> None:
        self.events.append(RejectedEvent(rejected_row(raw, DAY), raw, list(findings), source, "2024-01-15T10:00:00Z"))

    async def of_day(self, day: date | None, *, rule: str | None = None) -> AsyncGenerator[RejectedEvent]:
        self.day = day
        for event in self.events:
            if rule is None or rule in event.rules:
                yield event
