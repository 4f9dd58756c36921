"""A Bigtable server that acknowledges the writes to `events` and counts their cells instead of storing them.

python -m tests.bench.counting_store --port 8086

Other tables are those of the embedded emulator, so a function verifies its layout as usual.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc

from infra.emulators import rpc
from infra.emulators.bigtable.admin.service import TableAdminService
from infra.emulators.bigtable.data.aggregates import create_functions
from infra.emulators.bigtable.data.service import DataService
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.bigtable.storage.transactions import create_schema
from infra.emulators.database import open_database
from shared.bigtable import bigtable_pb2 as pb
from shared.bigtable.client import EVENTS

_SERVICE, _METHOD = "bench.CountingStore", "Cells"
_OPTIONS = [("grpc.max_receive_message_length", 256 << 20), ("grpc.so_reuseport", 0)]


class CountingService(DataService):
    """The tables of the emulator, except for the cells of `events`, which are counted."""

    cells = 0

    async def mutate_rows(self, request: Any) -> AsyncIterator[bytes]:
        """Count the cells of events; apply other mutations."""
        if request.table_name.endswith(f"/{EVENTS}"):
            self.cells += sum([len(entry.mutations) for entry in request.entries])
            yield _success(len(request.entries))
            return
        async for response in super().mutate_rows(request):
            yield response

    def count(self, _request: Any) -> Any:
        """Return the number of cells as a value."""
        return pb.BytesValue(value=str(self.cells).encode())


async def counted_cells(address: str) -> int:
    """Return the number of cells that a store has acknowledged."""
    async with grpc.aio.insecure_channel(address) as channel:
        response = await channel.unary_unary(f"/{_SERVICE}/{_METHOD}")(b"")
    return int(pb.BytesValue.FromString(response).value)


@lru_cache
def _success(entries: int) -> bytes:
    response = pb.MutateRowsResponse()
    for index in range(entries):
        response.entries.add(index=index, status=pb.Status())
    return bytes(response.SerializeToString())


async def _serve(port: int) -> None:
    database = open_database(None)
    create_schema(database)
    create_functions(database)
    tables = Tables(database)
    data = CountingService(database, tables)
    count = rpc.service(_SERVICE, {_METHOD: rpc.unary(pb.BytesValue, data.count)})
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers([data.handler(), TableAdminService(database, tables).handler(), count])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().port))
