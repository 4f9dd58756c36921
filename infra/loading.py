"""Files into Bigtable directly, without Pub/Sub, through the code the function runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

from infra.concurrency import concurrently
from infra.judging import DistinctPlaces, where
from infra.report import Report
from infra.sources import Record, SourceReader, Unreadable
from shared.bigtable import Bigtable
from shared.contract import Contract
from shared.ingestion import Ingestion
from shared.keys import rejected_row
from shared.verdicts import Accepted

# Batches that wait for Bigtable side by side: they share calls, and while some are written more are judged.
_BATCHES = 64


async def load_files(
    reader: SourceReader,
    bigtable: Bigtable,
    contract: Contract,
    *,
    batch_size: int = 100,
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
    ingestion = Ingestion(bigtable, contract, quality=quality)
    published = datetime.now(UTC)
    report, places, seen = Report(), DistinctPlaces(), set[bytes]()
    slots = asyncio.Semaphore(_BATCHES)

    async def keep(records: list[Record]) -> None:
        try:
            verdicts = ingestion.judge_all((record.raw for record in records), published)
            accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
            await ingestion.keep(accepted, published, where(records[0]))
            for record, verdict in zip(records, verdicts, strict=True):
                if isinstance(verdict, Accepted):
                    report.stored += places.add(verdict.place)
                    continue
                await ingestion.keep([verdict], published, where(record))
                row = rejected_row(verdict.raw, published.date())
                if row not in seen:
                    seen.add(row)
                    report.reject(verdict.findings, where(record))
            report.published += len(records)
            progress(report)
        finally:
            slots.release()

    async with concurrently() as batches:
        records = _readable(reader, report)
        while batch := list(islice(records, batch_size)):
            await slots.acquire()
            batches.create_task(keep(batch))
    report.days = places.days()
    return report


def _readable(reader: SourceReader, report: Report) -> Iterator[Record]:
    for item in reader:
        if isinstance(item, Unreadable):
            report.cannot_read(item.source, item.line, item.problem)
        else:
            yield item
