"""The cost of a write does not depend on the sizes of the cells beside it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from infra.emulators.bigtable.storage.cell_table import SET_CELL
from infra.emulators.bigtable.storage.transactions import create_schema, transaction
from infra.emulators.database import open_database

MIB = 1 << 20


def bytes_read() -> int:
    """Return the bytes that this process has read so far, from files or their cache."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"])


def test_a_write_beside_large_cells_does_not_read_them(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "cells.db")) as database:
        database.execute("PRAGMA cache_size = 16")  # pages, so that almost every use of a page reads the file
        create_schema(database)
        with transaction(database):
            database.executemany(SET_CELL, [(1, b"%02d" % number, "f", b"q", 0, bytes(MIB)) for number in range(16)])

        before = bytes_read()
        for number in range(100):
            with transaction(database):
                database.execute(SET_CELL, (1, b"07-%d" % number, "f", b"q", 0, b"small"))
        read = bytes_read() - before

    assert read < MIB
