"""Load files into Bigtable directly, without Pub/Sub, with the same code as the function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from infra.batch.check import position, read_blocks
from infra.batch.distinct import DistinctEvents, DistinctRows
from infra.batch.report import Report
from infra.batch.task_group import task_group
from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.ingest.pipeline import IngestPipeline
from shared.row_keys import rejected_row
from shared.sources.files import Block, SourceReader
from shared.validation.results import AcceptedColumns, Rejected, Verdict

# Bytes of events in memory. The limit is well below the batcher's `Limits.pending_bytes`, since a mutation is larger
# than its event. Each batch counts for at least `_MAX_BYTES // _MAX_BATCHES`, which limits the number of batches.
_MAX_BYTES, _MAX_BATCHES = 8 * 1024 * 1024, 64


async def load_files(
    reader: SourceReader,
    bigtable: Bigtable,
    contract: Contract,
    *,
    batch_size: int = 500,
    quality: bool = True,
    published: datetime | None = None,
    distinct: bool = True,
    progress: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Store the events of files, and return when Bigtable has acknowledged all of them.

    Args:
        reader: reads the files.
        bigtable: the instance to store in.
        contract: the contract to validate against.
        batch_size: events that are validated and written together.
        quality: False skips the quality checks, so every event with an id, a user and a time is stored.
        published: the time of publication of all events; now by default.
        distinct: whether to count a repeated event once, and the events of each day, which takes up to 130 MB.
        progress: called with the report after each batch.
    """
    ingestion = IngestPipeline(bigtable, contract, quality=quality, count_duplicates=False)
    published = published or datetime.now(UTC)
    report = Report()
    events, rejected = (DistinctEvents(), DistinctRows()) if distinct else (None, None)
    bytes_in_memory = 0
    batch_done = asyncio.Event()

    async def store(block: Block, size: int) -> None:
        nonlocal bytes_in_memory
        try:
            raws = block.raws
            found = ingestion.accept_all(raws, published)
            accepted, verdicts = found.columns, list[Verdict]()
            if len(found.rows) < len(raws):
                verdicts = ingestion.complete(found, raws, published)
                accepted = AcceptedColumns.of_verdicts(verdicts)
            await ingestion.store_accepted(accepted)
            if events is None:
                report.stored += len(accepted.values)
            else:
                events.add(accepted)
            if len(accepted.values) < len(raws):
                await store_rejected(block, verdicts)
            report.published += len(raws)
            if events is not None and rejected is not None:
                report.count_distinct(events, rejected)
            progress(report)
        finally:
            bytes_in_memory -= size
            batch_done.set()

    async def store_rejected(block: Block, verdicts: list[Verdict]) -> None:
        for line, verdict in zip(block.lines, verdicts, strict=True):
            if isinstance(verdict, Rejected):
                source = position(block.source, line)
                await ingestion.store([verdict], published, source)
                row = rejected_row(verdict.raw, published.date())
                if rejected is None or rejected.add(row):
                    report.reject(verdict.findings, source)

    with closing(read_blocks(reader, batch_size, report)) as blocks:
        async with task_group() as batches:
            for block in blocks:
                size = max(sum(map(len, block.raws)), _MAX_BYTES // _MAX_BATCHES)
                while bytes_in_memory and bytes_in_memory + size > _MAX_BYTES:
                    batch_done.clear()
                    await batch_done.wait()
                bytes_in_memory += size
                batches.create_task(store(block, size))
    if events is not None:
        report.days = events.days()
    return report
