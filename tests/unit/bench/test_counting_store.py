"""The store that counts the cells of events instead of keeping them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from infra.emulators.bigtable.data.aggregates import create_functions
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.bigtable.storage.transactions import create_schema
from infra.emulators.database import open_database
from infra.emulators.errors import ApiError
from shared.bigtable import bigtable_pb2 as pb
from tests.bench.counting_store import CountingService


@pytest.fixture
def store() -> Iterator[CountingService]:
    with closing(open_database(None)) as database:
        create_schema(database)
        create_functions(database)
        yield CountingService(database, Tables(database))


def write(store: CountingService, table: str, *cells_of_rows: int) -> pb.MutateRowsResponse:
    request = pb.MutateRowsRequest(table_name=f"projects/p/instances/i/tables/{table}")
    for cells in cells_of_rows:
        entry = request.entries.add(row_key=b"r")
        for _ in range(cells):
            entry.mutations.add().set_cell.value = b"v"

    async def call() -> list[bytes]:
        return [response async for response in store.mutate_rows(request)]

    return pb.MutateRowsResponse.FromString(b"".join(asyncio.run(call())))


def test_every_cell_of_events_is_counted_and_every_entry_acknowledged(store: CountingService) -> None:
    response = write(store, "events", 2, 1)
    write(store, "events", 4)

    assert [(entry.index, entry.status.code) for entry in response.entries] == [(0, 0), (1, 0)]
    assert store.count(None).value == b"7"


def test_another_table_is_that_of_the_emulator(store: CountingService) -> None:
    with pytest.raises(ApiError, match="state"):
        write(store, "state", 1)

    assert store.cells == 0
