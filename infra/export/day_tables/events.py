"""The events of days as record batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date

import pyarrow as pa

from infra.export.day_tables.event_columns import EventColumns
from infra.export.day_tables.stored_events import slices
from infra.export.day_tables.versions import DayVersion, MarkedDays
from shared import row_keys
from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.tables.events import EventsTable
from shared.tables.user_events import group_by_user


class EventsOfDays(MarkedDays):
    """The events that count."""

    def __init__(self, bigtable: Bigtable, contract: Contract) -> None:
        super().__init__(bigtable)
        self._events = EventsTable(bigtable, contract.bucket)
        self._columns = EventColumns(contract)
        self.schema = self._columns.schema

    async def batches(self, day: date, version: DayVersion) -> AsyncGenerator[pa.RecordBatch]:
        """Yield the events of a day by shard and user, newest first."""
        for prefix in row_keys.shard_prefixes(day):
            async with aclosing(self._events.of_shard(prefix)) as rows:
                async for users in group_by_user(rows):
                    for events in slices(users):
                        yield self._columns.batch(events)
