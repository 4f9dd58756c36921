"""The SQLite database of an emulator."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf.message import DecodeError

from infra.emulators.errors import ApiError

# Bytes of pages that SQLite keeps in memory.
_CACHE_BYTES = 64 << 20


def open_database(path: Path | None = None) -> sqlite3.Connection:
    """Open the database of an emulator; the connection is in autocommit mode, and statements begin transactions.

    A committed transaction survives the end of the process by any signal. After a power failure the last ones may be
    missing, but the file stays consistent (https://www.sqlite.org/pragma.html#pragma_synchronous).

    Args:
        path: the file, created if it doesn't exist; None for a database in memory, which ends with the connection.
    """
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_BYTES >> 10}")
    return connection


@contextmanager
def file_errors(path: Path | None) -> Iterator[None]:
    """Name the file in errors of its contents inside a `with` block.

    Raises:
        OSError: the file can't be opened, or isn't a complete database.
    """
    try:
        yield
    except (sqlite3.Error, DecodeError, ApiError) as error:
        raise OSError(f"{path}: found {error}, expected a database of the emulators, or no file") from error
