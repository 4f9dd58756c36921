"""Validate the events of files in this process, without a server, and report what would be stored and rejected."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from infra.batch.distinct import DistinctEvents, DistinctRows
from infra.batch.report import Report
from shared.contracts.model import Contract
from shared.row_keys import rejected_row
from shared.sources.files import Record, SourceReader, Unreadable
from shared.validation.results import AcceptedColumns, Rejected, Verdict
from shared.validation.validator import Validator

_BATCH_SIZE, _BATCH_BYTES = 1_000, 1024 * 1024


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
    validator = Validator(contract)
    report, events, rejected = Report(), DistinctEvents(), DistinctRows()
    with closing(_batches(reader, report)) as batches:
        for records in batches:
            raws, times = [record.raw for record in records], [published] * len(records)
            found = validator.accept_all(raws, times)
            accepted = found.columns
            if len(found.rows) < len(raws):
                verdicts = validator.complete(found, raws, times)
                accepted = AcceptedColumns.of_verdicts(verdicts)
                for record, verdict in zip(records, verdicts, strict=True):
                    if type(verdict) is Rejected and rejected.add(rejected_row(verdict.raw, published.date())):
                        report.reject(verdict.findings, position(record))
            events.add(accepted)
            report.count_distinct(events, rejected)
            progress(report)
    report.days = events.days()
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
    with closing(_batches(reader, report)) as batches:
        for records in batches:
            verdicts = validator.validate_all([record.raw for record in records], published)
            yield list(zip(records, verdicts, strict=True))


def _batches(reader: SourceReader, report: Report) -> Generator[list[Record], None, None]:
    """Yield the records of files in batches of limited size; count them and the unreadable pieces before."""
    with closing(iter(reader)) as items:
        while batch := next_batch(items):
            records = readable(batch, report)
            report.published += len(records)
            yield records


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
