"""ReadRows: the rows of a request, in slices between which other calls run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from infra.emulators.bigtable.clock import server_time
from infra.emulators.bigtable.column_bounds import are_exact, column_bounds
from infra.emulators.bigtable.data.chunks import Row, encode_cells, responses
from infra.emulators.bigtable.data.row_ranges import key_ranges
from infra.emulators.bigtable.filters import Filter, compile_filter
from infra.emulators.bigtable.storage.cell_table import StoredRow, decode_cells, read_slice
from infra.emulators.bigtable.storage.gc_rules import Collector
from infra.emulators.bigtable.storage.tables import Table
from infra.emulators.bigtable.storage.transactions import storage_errors
from infra.emulators.errors import invalid


async def read_rows(database: sqlite3.Connection, table: Table, request: Any) -> AsyncIterator[bytes]:
    """Yield the serialized responses of a `ReadRowsRequest`.

    Each row is of one moment. Later rows show what was written while the call ran, as in Bigtable.

    Raises:
        ApiError: INVALID_ARGUMENT; the rows, the limit or the filter of the request break a rule.
    """
    limit = request.rows_limit
    if limit < 0:
        raise invalid(f"rows_limit: found {limit}, expected 0 or more")
    passing = compile_filter(request.filter) if request.filter.WhichOneof("filter") else None
    ranges = deque(key_ranges(request.rows, descending=request.reversed))
    columns = column_bounds(request.filter)
    if passing and are_exact(request.filter):
        passing = None
    while ranges:
        with storage_errors():
            stored = read_slice(database, table.id, ranges, columns, descending=request.reversed)
        rows = list(_passing_rows(table, stored, passing))
        if request.rows_limit:
            rows = rows[:limit]
            limit -= len(rows)
        for response in responses(rows):
            yield response
        if request.rows_limit and not limit:
            return
        await asyncio.sleep(0)


def _passing_rows(table: Table, stored: Iterable[StoredRow], passing: Filter | None) -> Iterator[Row]:
    """Yield the rows with the cells that aren't collected and that pass the filter; no row without cells."""
    collector = Collector(table.rules, server_time())
    for row_key, stored_cells in stored:
        kept = collector.kept(row_key, stored_cells)
        if passing is None:
            cells: Sequence[tuple[Any, ...]] = kept
        else:
            cells = encode_cells(passing(row_key, decode_cells(kept)))
        if cells:
            yield row_key, cells
