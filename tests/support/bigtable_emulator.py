"""The embedded Bigtable emulator, in this process or in its own, and Google's async clients.

python -m tests.support.bigtable_emulator --port 8086 --file bigtable.db
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc

from infra.emulators.bigtable.service import BigtableService
from infra.emulators.database import open_database

_SERVER_OPTIONS = [("grpc.max_receive_message_length", 256 << 20), ("grpc.so_reuseport", 0)]


@asynccontextmanager
async def serving(file: Path | None = None, port: int = 0) -> AsyncIterator[str]:
    """Serve the emulator in this event loop; yields its address."""
    database = open_database(file)
    try:
        async with serving_database(database, port) as address:
            yield address
    finally:
        database.close()


@asynccontextmanager
async def serving_database(database: sqlite3.Connection, port: int = 0) -> AsyncIterator[str]:
    """Serve the emulator over an open database; yields its address."""
    service = BigtableService(database)
    server = grpc.aio.server(options=_SERVER_OPTIONS)
    server.add_generic_rpc_handlers(service.handlers())
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(grace=None)
        service.close()


class Clients:
    """Google's clients of an instance, which no other object has.

    Attributes:
        data: of the data API.
        admin: of the table administration.
        instances: of the instance administration.
        instance: the name of the instance.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        from google.cloud import bigtable_admin_v2, bigtable_v2
        from google.cloud.bigtable_admin_v2.services import bigtable_instance_admin, bigtable_table_admin
        from google.cloud.bigtable_v2.services import bigtable

        self.data = bigtable_v2.BigtableAsyncClient(
            transport=bigtable.transports.BigtableGrpcAsyncIOTransport(channel=channel)
        )
        self.admin = bigtable_admin_v2.BaseBigtableTableAdminAsyncClient(
            transport=bigtable_table_admin.transports.BigtableTableAdminGrpcAsyncIOTransport(channel=channel)
        )
        self.instances = bigtable_admin_v2.BigtableInstanceAdminAsyncClient(
            transport=bigtable_instance_admin.transports.BigtableInstanceAdminGrpcAsyncIOTransport(channel=channel)
        )
        self.instance = f"projects/test/instances/i-{uuid.uuid4().hex[:12]}"

    async def create_table(self, *families: str, table_id: str = "events", **options: object) -> str:
        """Create a table and return its name."""
        table = {"column_families": {family: {} for family in families}}
        request = {"parent": self.instance, "table_id": table_id, "table": table, **options}
        return str((await self.admin.create_table(request)).name)


@asynccontextmanager
async def connecting(address: str) -> AsyncIterator[Clients]:
    """Connect to a Bigtable emulator."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield Clients(channel)


async def _serve(file: Path | None, port: int) -> None:
    async with serving(file, port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.file, arguments.port))
