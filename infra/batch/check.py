"""Judge events of files in one process, without any server: what would be stored, what rejected, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from infra.batch.report import Report
from infra.sources.files import Record, SourceReader, Unreadable
from shared.contracts.model import Contract
from shared.row_keys import CellKey, rejected_row, user_of_row
from shared.timestamps import parse_day
from shared.validation.results import Accepted
from shared.validation.validator import Validator

if TYPE_CHECKING:
    from infra.sources.files import ColumnType

_BATCH = 1_000

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


class DistinctCellKeys:
    """Counts different cell_keys, and by day different events and users; 16 bytes or so an event and set slot."""

    def __init__(self) -> None:
        self._places: set[int] = set()
        self._rows: Counter[bytes] = Counter()

    def add(self, cell_keys: Sequence[CellKey]) -> int:
        """Take in cell_keys; returns how many of them are new."""
        known, before = self._places, len(self._places)
        marks = list(map(hash, cell_keys))
        new = set(marks) - known
        if len(new) == len(marks):
            known |= new
            self._rows.update([cell_key.row_key for cell_key in cell_keys])
            return len(new)
        for mark, cell_key in zip(marks, cell_keys, strict=True):
            if mark not in known:
                known.add(mark)
                self._rows[cell_key.row_key] += 1
        return len(known) - before

    def __len__(self) -> int:
        return len(self._places)

    def days(self) -> dict[date, tuple[int, int]]:
        """Return for each day its different events and users."""
        events: Counter[bytes] = Counter()
        users: dict[bytes, set[str]] = defaultdict(set)
        for row_key, count in self._rows.items():
            day = row_key[3:11]
            events[day] += count
            users[day].add(user_of_row(row_key))
        return {parse_day(day.decode()): (events[day], len(users[day])) for day in sorted(events)}


def check_files(
    reader: SourceReader, contract: Contract, *, progress: Callable[[Report], None] = lambda _report: None
) -> Report:
    """Judge all events of some files as if they were published now.

    Args:
        reader: of the files.
        contract: what to hold them to.
        progress: is told of the figures now and then.
    """
    validator = Validator(contract)
    published = datetime.now(UTC)
    report, cell_keys, seen = Report(), DistinctCellKeys(), set[bytes]()
    items = iter(reader)
    while batch := list(islice(items, _BATCH)):
        records = readable(batch, report)
        for record, verdict in zip(
            records, validator.validate_all([record.raw for record in records], published), strict=True
        ):
            if isinstance(verdict, Accepted):
                if cell_keys.add((verdict.cell_key,)):
                    report.stored += 1
                    report.warned.update({finding.rule for finding in verdict.warnings})
                continue
            row = rejected_row(verdict.raw, published.date())
            if row not in seen:
                seen.add(row)
                report.reject(verdict.findings, where(record))
        report.published += len(records)
        progress(report)
    report.days = cell_keys.days()
    return report


def readable(items: Sequence[Record | Unreadable], report: Report) -> list[Record]:
    """Return the records among what a reader gave; what can't be read is reported."""
    records = [item for item in items if type(item) is Record]
    if len(records) < len(items):
        for item in items:
            if isinstance(item, Unreadable):
                report.cannot_read(item.source, item.line, item.problem)
    return records


def where(record: Record) -> str:
    """Return file and line of a record, as people and editors write it."""
    return f"{Path(record.source).name if record.source != 'stdin' else 'stdin'}:{record.line}"
