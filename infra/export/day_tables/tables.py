"""The tables that are read by days, as record batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from datetime import date
from typing import Literal, Protocol, get_args

import pyarrow as pa

from infra.export.day_tables.aggregates import AggregatesOfDays
from infra.export.day_tables.events import EventsOfDays
from infra.export.day_tables.rejected import RejectedOfDays
from infra.export.day_tables.versions import DayVersion
from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract

TableName = Literal["events", "rejected", "aggregates"]
TABLES: tuple[TableName, ...] = get_args(TableName)


class DayTable(Protocol):
    """One table of days.

    Attributes:
        schema: of the batches.
    """

    schema: pa.Schema

    async def version(self, day: date) -> DayVersion:
        """Return what a read of a day that begins now sees."""

    async def is_current(self, day: date, version: DayVersion) -> bool:
        """Return whether a read of a day would certainly see the same rows as the one with this version."""

    def batches(self, day: date, version: DayVersion) -> AsyncGenerator[pa.RecordBatch]:
        """Yield the rows of a day as record batches of bounded size."""


def day_table(name: TableName, bigtable: Bigtable, contract: Contract) -> DayTable:
    """Return the table with this name."""
    if name == "events":
        return EventsOfDays(bigtable, contract)
    return RejectedOfDays(bigtable) if name == "rejected" else AggregatesOfDays(bigtable)


def partition_key(columns: Iterable[str]) -> str:
    """Return the name of the column that holds the day: `day`, or `_day` beside a field of that name."""
    return "_day" if "day" in {name.lower() for name in columns} else "day"
