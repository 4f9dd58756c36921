"""Validate the events of files in this process, without a server, and report what would be stored and rejected."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from infra.batch.distinct import DistinctEvents, DistinctRows
from infra.batch.report import Report
from shared.contracts.model import Contract
from shared.row_keys import rejected_row
from shared.sources.files import Block, Record, SourceReader
from shared.validation.results import AcceptedColumns, Rejected, Verdict
from shared.validation.validator import Validator

_BATCH_SIZE = 1_000  # events


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
    with closing(read_blocks(reader, _BATCH_SIZE, report)) as blocks:
        for block in blocks:
            times = [published] * len(block.raws)
            found = validator.accept_all(block.raws, times)
            accepted = found.columns
            if len(found.rows) < len(block.raws):
                verdicts = validator.complete(found, block.raws, times)
                accepted = AcceptedColumns.of_verdicts(verdicts)
                for line, verdict in zip(block.lines, verdicts, strict=True):
                    if type(verdict) is Rejected and rejected.add(rejected_row(verdict.raw, published.date())):
                        report.reject(verdict.findings, position(block.source, line))
            report.published += len(block.raws)
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
    with closing(read_blocks(reader, _BATCH_SIZE, report)) as blocks:
        for block in blocks:
            report.published += len(block.raws)
            yield list(zip(block.records(), validator.validate_all(block.raws, published), strict=True))


def read_blocks(reader: SourceReader, max_events: int, report: Report) -> Generator[Block, None, None]:
    """Yield the events of files in blocks of at most `max_events`; add the unreadable pieces to the report."""
    with closing(reader.blocks(max_events)) as items:
        for item in items:
            if isinstance(item, Block):
                yield item
            else:
                report.add_unreadable(item.source, item.line, item.problem)


def position(source: str, line: int) -> str:
    """Return the position of an event as `file:line`."""
    return f"{Path(source).name if source != 'stdin' else 'stdin'}:{line}"
