"""The server of the embedded emulators: the files of its folder."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from infra.emulators.server import serving


def _write_nonsense(path: Path) -> None:
    path.write_bytes(b"no database" * 100)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 + 2048])


def _spoil_messages(path: Path) -> None:
    statements = {
        "bigtable": "INSERT INTO bigtable_tables VALUES (1, 't', x'ff', x'')",
        "pubsub": "INSERT INTO pubsub_topics VALUES (1, x'ff')",
        "scheduler": "INSERT INTO scheduler_jobs VALUES ('j', x'ff')",
    }
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statements[path.stem])


@pytest.mark.parametrize("name", ["bigtable", "pubsub", "scheduler"])
@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (_write_nonsense, "file is not a database"),
        (_truncate, "database disk image is malformed"),
        (_spoil_messages, "Error parsing message"),
    ],
)
async def test_a_corrupt_file_is_an_error_and_stays_as_it_is(
    tmp_path: Path, name: str, spoil: Callable[[Path], None], found: str
) -> None:
    async with serving(data=tmp_path):
        pass
    path = tmp_path / f"{name}.sqlite"
    spoil(path)
    before = path.read_bytes()

    with pytest.raises(OSError, match=re.escape(f"{path}: found {found}")):
        async with serving(data=tmp_path):
            pass

    assert path.read_bytes() == before
