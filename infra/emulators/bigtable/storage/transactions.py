"""Schema and transactions of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

import grpc

from infra.emulators.errors import ApiError

# The primary key is the order of ReadRows: row key, family, qualifier, newest first. Its index has no contents: a table
# WITHOUT ROWID would read whole contents of large cells to compare the keys in front of them.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS bigtable_tables (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    message BLOB NOT NULL, -- google.bigtable.admin.v2.Table
    splits BLOB NOT NULL -- google.bigtable.admin.v2.CreateTableRequest with initial_splits alone
);
CREATE TABLE IF NOT EXISTS bigtable_cells (
    table_id INTEGER NOT NULL,
    row_key BLOB NOT NULL,
    family TEXT NOT NULL,
    qualifier BLOB NOT NULL,
    reversed_micros INTEGER NOT NULL, -- the negative timestamp
    content BLOB NOT NULL, -- see contents.py
    PRIMARY KEY (table_id, row_key, family, qualifier, reversed_micros)
);
"""

# Codes of SQLite (https://www.sqlite.org/rescode.html) that a client can act on.
_CODES = {
    sqlite3.SQLITE_FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    sqlite3.SQLITE_BUSY: grpc.StatusCode.UNAVAILABLE,
    sqlite3.SQLITE_READONLY: grpc.StatusCode.FAILED_PRECONDITION,
    sqlite3.SQLITE_CORRUPT: grpc.StatusCode.DATA_LOSS,
    sqlite3.SQLITE_NOTADB: grpc.StatusCode.DATA_LOSS,
}

_SQL, _PARAMETERS = itemgetter(0), itemgetter(1)

# A statement of SQL and its parameters.
Statement = tuple[str, tuple[Any, ...]]


def create_schema(database: sqlite3.Connection) -> None:
    """Create the tables of the schema that don't exist."""
    database.executescript(_SCHEMA)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit the statements of the block together, or none of them if it raises.

    Raises:
        ApiError: the database failed, such as RESOURCE_EXHAUSTED if the disk is full.
    """
    with storage_errors():
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")


def execute(database: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    """Execute statements in their order, equal ones together."""
    for sql, group in groupby(statements, _SQL):
        database.executemany(sql, map(_PARAMETERS, group))


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate errors of SQLite."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the primary code of an extended one.
        code = _CODES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, grpc.StatusCode.INTERNAL)
        raise ApiError(code, f"database: found {error}, expected a complete transaction") from error
