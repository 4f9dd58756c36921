"""The rejected events of days as record batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from typing import Any

import msgspec
import pyarrow as pa

from infra.export.day_tables.event_columns import TIMESTAMP
from infra.export.day_tables.record_batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS, batch_of_rows
from infra.export.day_tables.versions import DayVersion, MarkedDays
from shared.bigtable.client import Bigtable
from shared.tables.rejected import RejectedEvent, RejectedTable

SCHEMA = pa.schema(
    [
        pa.field("published", TIMESTAMP),
        pa.field("source", pa.string()),
        pa.field("rules", pa.list_(pa.string())),
        pa.field("text", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("findings", pa.string()),
    ]
)


class RejectedOfDays(MarkedDays):
    """The rejected events of the days of their publication."""

    schema = SCHEMA

    def __init__(self, bigtable: Bigtable) -> None:
        super().__init__(bigtable)
        self._rejected = RejectedTable(bigtable)

    async def batches(self, day: date, version: DayVersion) -> AsyncGenerator[pa.RecordBatch]:
        """Yield the rejected events of a day in the order of their row keys."""
        rows: list[dict[str, Any]] = []
        size = 0
        async with aclosing(self._rejected.of_day(day)) as rejected:
            async for event in rejected:
                rows.append(_rejected_row(event))
                size += len(event.raw)
                if len(rows) >= MAX_BATCH_ROWS or size >= MAX_BATCH_BYTES:
                    yield batch_of_rows(rows, self.schema)
                    rows, size = [], 0
        if rows:
            yield batch_of_rows(rows, self.schema)


def _rejected_row(event: RejectedEvent) -> dict[str, Any]:
    try:
        text = event.raw.decode()
    except UnicodeDecodeError:
        text = None
    return {
        "published": event.publish_time if event.published else None,
        "source": event.source,
        "rules": event.rules,
        "text": text,
        "raw": event.raw if text is None else None,
        "findings": msgspec.json.encode(event.findings),
    }
