"""Other calls run between the slices of a large MutateRows."""

from __future__ import annotations

import asyncio
from contextlib import closing

from infra.emulators.bigtable.admin import admin_pb2
from infra.emulators.bigtable.data.service import DataService
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.bigtable.storage.transactions import create_schema
from infra.emulators.database import open_database
from shared.bigtable.bigtable_pb2 import MutateRowsRequest, MutateRowsResponse

TABLE = "projects/p/instances/i/tables/t"


async def test_a_large_request_does_not_delay_other_calls() -> None:
    request = MutateRowsRequest(table_name=TABLE)
    for number in range(10_000):
        cell = {"family_name": "a", "column_qualifier": b"q", "timestamp_micros": 0, "value": b"v"}
        request.entries.add(row_key=b"%d" % number, mutations=[{"set_cell": cell}])
    with closing(open_database(None)) as database:
        create_schema(database)
        tables = Tables(database)
        message = admin_pb2.Table(name=TABLE)
        message.column_families["a"].SetInParent()
        tables.create(message, [])
        call = asyncio.create_task(anext(DataService(database, tables).mutate_rows(request)))
        turns = 0
        while not call.done():
            await asyncio.sleep(0)
            turns += 1
        (stored,) = database.execute("SELECT count(*) FROM bigtable_cells").fetchone()

    assert turns >= 5
    assert stored == len(MutateRowsResponse.FromString(call.result()).entries) == 10_000
