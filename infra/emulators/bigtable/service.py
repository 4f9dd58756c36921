"""The Bigtable emulator: its gRPC services over one database."""

from __future__ import annotations

import asyncio
import sqlite3

import grpc

from infra.emulators.bigtable.admin.instances import InstanceAdminService
from infra.emulators.bigtable.admin.service import TableAdminService
from infra.emulators.bigtable.data.aggregates import create_functions
from infra.emulators.bigtable.data.service import DataService
from infra.emulators.bigtable.storage.sweep import sweep_repeatedly
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.bigtable.storage.transactions import create_schema


class BigtableService:
    """The services google.bigtable.v2.Bigtable, and BigtableTableAdmin and BigtableInstanceAdmin of the admin API.

    The server needs `grpc.max_receive_message_length` of 256 MiB: https://cloud.google.com/bigtable/quotas#limits
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        """Open the tables of a database; inside a running event loop, which also collects garbage."""
        create_schema(database)
        create_functions(database)
        tables = Tables(database)
        self._services = (
            DataService(database, tables),
            TableAdminService(database, tables),
            InstanceAdminService(tables),
        )
        self._sweep = asyncio.get_running_loop().create_task(sweep_repeatedly(database, tables))

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers for a grpc.aio server."""
        return [service.handler() for service in self._services]

    def close(self) -> None:
        """Stop the garbage collection; the database stays open."""
        self._sweep.cancel()
