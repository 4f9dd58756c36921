"""Skip scans: find the distinct parts of row keys by reading one row for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import date
from typing import TypeVar

from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import AGGREGATES, Bigtable
from shared.bigtable.read_rows import Scan, prefix_end
from shared.timestamps import parse_day

T = TypeVar("T")

# Concurrent reads, so that the server prepares some while others are processed.
_READS = 16
_SEPARATOR, _AFTER_SEPARATOR = b"#", b"$"  # "$" follows "#", and no encoded text contains a smaller character
_LAST = b"\xff"


async def days_under(bigtable: Bigtable, table: str, prefix: bytes) -> list[date]:
    """Return the days that have rows under a prefix; a row key continues it with YYYYMMDD and a separator."""
    parts = await _parts(bigtable, table, prefix, prefix_end(prefix))
    return [parse_day(part.decode()) for part in parts]


async def dimensions(bigtable: Bigtable) -> list[bytes]:
    """Return the encoded dimensions that have rows in `aggregates`, of any contract."""
    return await _parts(bigtable, AGGREGATES, b"", _LAST)


async def _parts(bigtable: Bigtable, table: str, prefix: bytes, end: bytes) -> list[bytes]:
    """Return the distinct texts between a prefix and the next separator."""
    one_key = Filter()
    one_key.chain.filters.add(cells_per_row_limit_filter=1)
    one_key.chain.filters.add(strip_value_transformer=True)
    found: list[bytes] = []
    start = prefix
    while True:
        rows = [row async for row in bigtable.read(table, Scan(ranges=[(start, end)], filter=one_key, limit=1))]
        if not rows:
            return found
        part = rows[0].key[len(prefix) :].split(_SEPARATOR)[0]
        found.append(part)
        start = prefix + part + _AFTER_SEPARATOR


async def gather_limited(reads: Iterable[Awaitable[T]]) -> list[T]:
    """Await several reads, a limited number of them at once; return their results in order."""
    slots = asyncio.Semaphore(_READS)

    async def limited(read: Awaitable[T]) -> T:
        async with slots:
            return await read

    return await asyncio.gather(*map(limited, reads))
