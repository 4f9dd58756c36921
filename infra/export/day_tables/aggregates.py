"""The aggregates of days as record batches: one row for each measure of a value."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from typing import Any

import msgspec
import pyarrow as pa

from infra.export.day_tables.record_batches import MAX_BATCH_ROWS, batch_of_rows
from infra.export.day_tables.versions import DayVersion
from shared.bigtable.client import Bigtable
from shared.errors import StoreUnavailableError
from shared.tables.aggregates import AggregatesTable
from shared.tables.state import StateTable

SCHEMA = pa.schema(
    [
        pa.field("dimension", pa.string()),
        pa.field("value", pa.string()),
        pa.field("measure", pa.string()),
        pa.field("integer", pa.int64()),
        pa.field("number", pa.float64()),
        pa.field("json", pa.string()),
    ]
)


class AggregatesOfDays:
    """The measures of the current runs, one row for each."""

    schema = SCHEMA

    def __init__(self, bigtable: Bigtable) -> None:
        self._state = StateTable(bigtable)
        self._aggregates = AggregatesTable(bigtable, self._state)

    async def version(self, day: date) -> DayVersion:
        """Return the current run of a day as a version."""
        run = await self._state.run(day)
        if run is None:
            return DayVersion(0, None, complete=False)
        return DayVersion(run.horizon_micros or run.micros, run.micros, run.saw_all_of(day))

    async def is_current(self, day: date, version: DayVersion) -> bool:
        """Return whether the run of the version is still the current one; without a run, rows may have been added."""
        run = await self._state.run(day)
        return run is not None and run.micros == version.run_micros

    async def batches(self, day: date, version: DayVersion) -> AsyncGenerator[pa.RecordBatch]:
        """Yield the measures of a day by dimension and value.

        Raises:
            StoreUnavailableError: another run of the day has finished meanwhile.
        """
        run = await self._state.run(day)
        rows: list[dict[str, Any]] = []
        for dimension in await self._aggregates.dimensions():
            async with aclosing(self._aggregates.stream_day(dimension, day, run)) as values:
                async for value, measures in values:
                    rows += [_measure_row(dimension, value, name, json) for name, json in sorted(measures.items())]
                    if len(rows) >= MAX_BATCH_ROWS:
                        yield batch_of_rows(rows, self.schema)
                        rows = []
        if rows:
            yield batch_of_rows(rows, self.schema)
        latest = await self._state.run(day)
        if (latest.micros if latest else None) != version.run_micros:
            raise StoreUnavailableError(f"aggregates of {day}: another run finished during the read; try again")


def _measure_row(dimension: str, value: str, measure: str, json: bytes) -> dict[str, Any]:
    decoded = msgspec.json.decode(json)
    is_integer = type(decoded) is int
    return {
        "dimension": dimension,
        "value": value,
        "measure": measure,
        "integer": decoded if is_integer and -(2**63) <= decoded < 2**63 else None,
        "number": float(decoded) if is_integer or type(decoded) is float else None,
        "json": json,
    }
