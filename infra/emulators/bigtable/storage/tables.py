"""The tables, their column families and splits: in memory, and in the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from infra.emulators.bigtable.admin import admin_pb2
from infra.emulators.bigtable.storage.cell_table import DELETE_TABLE
from infra.emulators.bigtable.storage.gc_rules import compile_rule
from infra.emulators.bigtable.storage.transactions import Statement, execute, transaction
from infra.emulators.errors import ApiError


class Table:
    """A table.

    Attributes:
        id: its number in the database; no later table gets it again.
        message: `google.bigtable.admin.v2.Table`, with all column families.
        splits: row keys of its initial splits, in order.
        families: the ids of its column families, each with the aggregator of its type, or "" for plain bytes.
        rules: garbage collection rules by family, for families that have one.
    """

    def __init__(self, table_id: int, message: Any, splits: Iterable[bytes]) -> None:
        self.id, self.message, self.splits = table_id, message, sorted(splits)
        self.families = {
            name: family.value_type.aggregate_type.WhichOneof("aggregator") or ""
            for name, family in message.column_families.items()
        }
        compiled = {name: compile_rule(family.gc_rule) for name, family in message.column_families.items()}
        self.rules = {name: rule for name, rule in compiled.items() if rule}

    @property
    def name(self) -> str:
        """The resource name."""
        return str(self.message.name)

    def require_family(self, family: str) -> None:
        """Raise NOT_FOUND unless the table has the column family."""
        if family not in self.families:
            expected = ", ".join(sorted(self.families)) or "none, because the table has no families"
            text = f"Requested column family not found in {self.name}: found {family!r}, expected {expected}"
            raise ApiError(grpc.StatusCode.NOT_FOUND, text)


class Tables:
    """The tables by their names."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        rows = database.execute("SELECT id, message, splits FROM bigtable_tables").fetchall()
        tables = [
            Table(table_id, admin_pb2.Table.FromString(message), _read_splits(splits))
            for table_id, message, splits in rows
        ]
        self._tables = {table.name: table for table in tables}

    def __iter__(self) -> Iterator[Table]:
        return iter([table for _, table in sorted(self._tables.items())])

    def get(self, name: str) -> Table:
        """Return a table; raises ApiError with NOT_FOUND if it doesn't exist."""
        try:
            return self._tables[name]
        except KeyError:
            raise ApiError(grpc.StatusCode.NOT_FOUND, f"Table not found: {name}") from None

    def create(self, message: Any, splits: list[bytes]) -> Table:
        """Store a new table; raises ApiError with ALREADY_EXISTS if the name is taken."""
        if message.name in self._tables:
            raise ApiError(grpc.StatusCode.ALREADY_EXISTS, f"Table already exists: {message.name}")
        request = admin_pb2.CreateTableRequest()
        for split in splits:
            request.initial_splits.add(key=split)
        values = (message.name, message.SerializeToString(), request.SerializeToString())
        with transaction(self._database):
            insert = "INSERT INTO bigtable_tables (name, message, splits) VALUES (?, ?, ?) RETURNING id"
            ((table_id,),) = self._database.execute(insert, values).fetchall()
        table = self._tables[message.name] = Table(table_id, message, splits)
        return table

    def update(self, table: Table, message: Any, statements: Iterable[Statement] = ()) -> Table:
        """Replace the message of a table, and execute statements in the same transaction."""
        updated = Table(table.id, message, table.splits)
        with transaction(self._database):
            sql = "UPDATE bigtable_tables SET message = ? WHERE id = ?"
            self._database.execute(sql, (message.SerializeToString(), table.id))
            execute(self._database, statements)
        self._tables[table.name] = updated
        return updated

    def delete(self, table: Table) -> None:
        """Delete a table and its cells."""
        with transaction(self._database):
            self._database.execute("DELETE FROM bigtable_tables WHERE id = ?", (table.id,))
            self._database.execute(DELETE_TABLE, (table.id,))
        del self._tables[table.name]


def _read_splits(data: bytes) -> list[bytes]:
    return [split.key for split in admin_pb2.CreateTableRequest.FromString(data).initial_splits]
