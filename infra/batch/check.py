"""Validate the events of files in this process, without a server, and report what would be stored and rejected."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from infra.batch.report import Report
from shared.contracts.model import Contract
from shared.row_keys import CellKey, rejected_row, user_of_row
from shared.sources.files import Record, SourceReader, Unreadable
from shared.timestamps import parse_day
from shared.validation.results import Accepted, Verdict
from shared.validation.validator import Validator

_BATCH_SIZE, _BATCH_BYTES = 1_000, 1024 * 1024


class DistinctCellKeys:
    """Counts distinct cell keys, and the distinct events and users of each day, from hashes of 64 bits."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._rows: Counter[bytes] = Counter()

    def add(self, cell_keys: Sequence[CellKey]) -> int:
        """Add cell keys; return how many of them are new."""
        known, before = self._hashes, len(self._hashes)
        hashes = list(map(hash, cell_keys))
        new = set(hashes) - known
        if len(new) == len(hashes):
            known |= new
            self._rows.update([cell_key.row_key for cell_key in cell_keys])
            return len(new)
        for value, cell_key in zip(hashes, cell_keys, strict=True):
            if value not in known:
                known.add(value)
                self._rows[cell_key.row_key] += 1
        return len(known) - before

    def days(self) -> dict[date, tuple[int, int]]:
        """Return the number of distinct events and users of each day."""
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
    """Validate all events of files, with the current time as the publish time.

    Args:
        reader: reads the files.
        contract: the contract to validate against.
        progress: called with the report after each batch.
    """
    published = datetime.now(UTC)
    report, cell_keys, seen = Report(), DistinctCellKeys(), set[bytes]()
    with closing(validate_source(reader, Validator(contract), published, report)) as batches:
        for batch in batches:
            for record, verdict in batch:
                if isinstance(verdict, Accepted):
                    if cell_keys.add((verdict.cell_key,)):
                        report.stored += 1
                    continue
                row = rejected_row(verdict.raw, published.date())
                if row not in seen:
                    seen.add(row)
                    report.reject(verdict.findings, position(record))
            progress(report)
    report.days = cell_keys.days()
    return report


def validate_source(
    reader: SourceReader, validator: Validator, published: datetime, report: Report
) -> Generator[list[tuple[Record, Verdict]], None, None]:
    """Yield the events of files with their verdicts, in batches of limited size.

    Args:
        reader: reads the files.
        validator: of the contract to validate against.
        published: the publish time of all events.
        report: counts the events and the unreadable pieces of each batch before it is yielded.
    """
    with closing(iter(reader)) as items:
        while batch := next_batch(items):
            records = readable(batch, report)
            report.published += len(records)
            verdicts = validator.validate_all([record.raw for record in records], published)
            yield list(zip(records, verdicts, strict=True))


class _HasRaw(Protocol):
    @property
    def raw(self) -> bytes: ...


Item = TypeVar("Item", bound=_HasRaw)


def next_batch(items: Iterator[Item]) -> list[Item]:
    """Return the next items to validate together: at most a thousand, and few if these are large."""
    batch: list[Item] = []
    size = 0
    for item in islice(items, _BATCH_SIZE):
        batch.append(item)
        size += len(item.raw)
        if size >= _BATCH_BYTES:
            break
    return batch


def readable(items: Sequence[Record | Unreadable], report: Report) -> list[Record]:
    """Return the records among the items of a reader, and add the unreadable items to the report."""
    records = [item for item in items if type(item) is Record]
    if len(records) < len(items):
        for item in items:
            if isinstance(item, Unreadable):
                report.add_unreadable(item.source, item.line, item.problem)
    return records


def position(record: Record) -> str:
    """Return the position of a record as `file:line`."""
    return f"{Path(record.source).name if record.source != 'stdin' else 'stdin'}:{record.line}"
