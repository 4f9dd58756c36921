"""Deletion of the cells that garbage collection rules collect."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from infra.emulators.bigtable.clock import server_time
from infra.emulators.bigtable.storage.cell_table import DELETE_CELL, CellKey, read_cell_keys
from infra.emulators.bigtable.storage.gc_rules import Collector
from infra.emulators.bigtable.storage.tables import Table, Tables
from infra.emulators.bigtable.storage.transactions import storage_errors, transaction
from infra.emulators.errors import ApiError

_EVERY = 300.0  # seconds
_log = logging.getLogger(__name__)


async def sweep_repeatedly(database: sqlite3.Connection, tables: Tables, *, every: float = _EVERY) -> None:
    """Sweep all tables, now and after every `every` seconds, until the task is cancelled."""
    while True:
        try:
            for table in tables:
                await sweep(database, table)
        except ApiError as error:  # such as a full disk: reads leave collected cells out anyway
            _log.warning("garbage collection: %s", error.text)
        await asyncio.sleep(every)


async def sweep(database: sqlite3.Connection, table: Table) -> int:
    """Delete the collected cells of a table, in slices between which calls run; returns their number."""
    if not table.rules:
        return 0
    collector = Collector(table.rules, server_time())
    after: CellKey | None = None
    deleted = 0
    while keys := _read(database, table, after):
        collected = [key for key in keys if collector.collects(*key)]
        if collected:
            with transaction(database):
                database.executemany(DELETE_CELL, [(table.id, *key[:3], -key[3]) for key in collected])
        deleted += len(collected)
        after = keys[-1]
        await asyncio.sleep(0)
    return deleted


def _read(database: sqlite3.Connection, table: Table, after: CellKey | None) -> list[CellKey]:
    with storage_errors():
        return read_cell_keys(database, table.id, after)
