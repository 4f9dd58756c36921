"""SampleRowKeys: row keys that divide a table into parts of about the same size."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

from infra.emulators.bigtable.storage.cell_table import read_row_sizes
from infra.emulators.bigtable.storage.tables import Table
from infra.emulators.bigtable.storage.transactions import storage_errors
from shared.bigtable.bigtable_pb2 import SampleRowKeysResponse

# Bytes between two samples. A table of a laptop is small, and its clients are to see more than one sample.
_SAMPLE_BYTES = 8 << 20


async def sample_row_keys(database: sqlite3.Connection, table: Table) -> AsyncIterator[Any]:
    """Yield the splits of the table, a row key after every 8 MiB of cells, and the end of the table: an empty key.

    Offsets are bytes of row keys, qualifiers and contents.
    """
    splits = list(reversed(table.splits))
    offset = sampled = 0
    last: bytes | None = b""
    while last is not None:
        with storage_errors():
            sizes = read_row_sizes(database, table.id, last)
        for row_key, size in sizes:
            while splits and splits[-1] <= row_key:
                yield SampleRowKeysResponse(row_key=splits.pop(), offset_bytes=offset)
                sampled = offset
            offset += size
            if offset - sampled >= _SAMPLE_BYTES and (not splits or splits[-1] > row_key):
                yield SampleRowKeysResponse(row_key=row_key, offset_bytes=offset)
                sampled = offset
        last = sizes[-1][0] if sizes else None
        await asyncio.sleep(0)
    while splits:
        yield SampleRowKeysResponse(row_key=splits.pop(), offset_bytes=offset)
    yield SampleRowKeysResponse(row_key=b"", offset_bytes=offset)
