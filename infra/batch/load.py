"""Files into Bigtable directly, without Pub/Sub, through the code the function runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

from infra.batch.check import DistinctCellKeys, readable, where
from infra.batch.report import Report
from infra.batch.task_group import concurrently
from infra.sources.files import Record, SourceReader
from shared import gc_tuning
from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.ingest.pipeline import IngestPipeline
from shared.row_keys import rejected_row
from shared.validation.results import Accepted, Rejected, Verdict

# Bytes that are judged or wait for Bigtable at once: well below what group commit takes in before it refuses
# (`Limits.pending_bytes`), since an event's entry is larger than the event. A batch counts for an even share of
# _BATCHES at least. They share calls, and while some are written more are judged.
_BYTES, _BATCHES = 8 * 1024 * 1024, 64


async def load_files(
    reader: SourceReader,
    bigtable: Bigtable,
    contract: Contract,
    *,
    batch_size: int = 500,
    quality: bool = True,
    progress: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Store the events of some files; returns when all of them are acknowledged.

    Args:
        reader: of the files.
        bigtable: where to store.
        contract: what to hold events to.
        batch_size: events that are judged and written together.
        quality: False stores all that has an id, a user and a time.
        progress: is told of the figures now and then.
    """
    gc_tuning.apply()
    ingestion = IngestPipeline(bigtable, contract, quality=quality)
    published = datetime.now(UTC)
    report, places, seen = Report(), DistinctCellKeys(), set[bytes]()
    held = 0
    landed = asyncio.Event()

    async def keep(records: list[Record], size: int) -> None:
        nonlocal held
        try:
            verdicts = ingestion.validate_all([record.raw for record in records], published)
            accepted = [verdict for verdict in verdicts if type(verdict) is Accepted]
            await ingestion.store(accepted, published, records[0].source)
            report.stored += places.add([verdict.cell_key for verdict in accepted])
            if len(accepted) < len(verdicts):
                await quarantine(records, verdicts)
            report.published += len(records)
            progress(report)
        finally:
            held -= size
            landed.set()

    async def quarantine(records: list[Record], verdicts: list[Verdict]) -> None:
        for record, verdict in zip(records, verdicts, strict=True):
            if isinstance(verdict, Rejected):
                await ingestion.store([verdict], published, where(record))
                row = rejected_row(verdict.raw, published.date())
                if row not in seen:
                    seen.add(row)
                    report.reject(verdict.findings, where(record))

    async with concurrently() as batches:
        items = iter(reader)
        while batch := list(islice(items, batch_size)):
            if not (records := readable(batch, report)):
                continue
            size = max(sum(len(record.raw) for record in records), _BYTES // _BATCHES)
            while held and held + size > _BYTES:
                landed.clear()
                await landed.wait()
            held += size
            batches.create_task(keep(records, size))
    report.days = places.days()
    return report
