"""Judge events of files in one process, without any server: what would be stored, what rejected, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from infra.report import Report
from infra.sources import Record, SourceReader, Unreadable
from shared.contract import Contract
from shared.judgement import Judgement
from shared.keys import Place, parse_day, rejected_row, user_of_row
from shared.verdicts import Accepted

if TYPE_CHECKING:
    from infra.sources import ColumnType

_COLUMNS: dict[str, ColumnType] = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "object": "json",
    "array": "json",
}


def columns(contract: Contract) -> Mapping[str, ColumnType]:
    """Return what the cells of a CSV file stand for; a contract knows, where CSV itself has only text."""
    return {
        ".".join(field.path): _COLUMNS.get(field.type, "number" if field.unit else "string")
        for field in contract.fields
    }


class DistinctPlaces:
    """Counts different places, and by day different events and users; 16 bytes or so an event and set slot."""

    def __init__(self) -> None:
        self._places: set[int] = set()
        self._events: dict[date, int] = defaultdict(int)
        self._users: dict[date, set[str]] = defaultdict(set)

    def add(self, place: Place) -> bool:
        """Take in a place; returns whether it is new."""
        mark = hash((place.row_key, place.qualifier))
        if mark in self._places:
            return False
        self._places.add(mark)
        day = parse_day(place.row_key[3:11].decode())
        self._events[day] += 1
        self._users[day].add(user_of_row(place.row_key))
        return True

    def __len__(self) -> int:
        return len(self._places)

    def days(self) -> dict[date, tuple[int, int]]:
        """Return for each day its different events and users."""
        return {day: (events, len(self._users[day])) for day, events in sorted(self._events.items())}


def judge_files(
    reader: SourceReader, contract: Contract, *, progress: Callable[[Report], None] = lambda _report: None
) -> Report:
    """Judge all events of some files as if they were published now.

    Args:
        reader: of the files.
        contract: what to hold them to.
        progress: is told of the figures now and then.
    """
    judge = Judgement(contract)
    published = datetime.now(UTC)
    report, places, rejected = Report(), DistinctPlaces(), set[bytes]()
    for item in reader:
        if isinstance(item, Unreadable):
            report.cannot_read(item.source, item.line, item.problem)
            continue
        report.published += 1
        verdict = judge(item.raw, published)
        if isinstance(verdict, Accepted):
            if places.add(verdict.place):
                report.stored += 1
                report.warned.update({finding.rule for finding in verdict.warnings})
        else:
            row = rejected_row(verdict.raw, published.date())
            if row not in rejected:
                rejected.add(row)
                report.reject(verdict.findings, where(item))
        if report.published % 1_000 == 0:
            progress(report)
    report.days = places.days()
    return report


def where(record: Record) -> str:
    """Return file and line of a record, as people and editors write it."""
    return f"{Path(record.source).name if record.source != 'stdin' else 'stdin'}:{record.line}"
