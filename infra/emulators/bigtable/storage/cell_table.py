"""The table of cells: its statements, and reads of rows."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby, takewhile
from operator import itemgetter
from typing import NamedTuple

from infra.emulators.bigtable.cells import Cell
from infra.emulators.bigtable.column_bounds import ColumnBounds
from infra.emulators.bigtable.storage.contents import decode_value

SET_CELL = "INSERT OR REPLACE INTO bigtable_cells VALUES (?, ?, ?, ?, ?, ?)"
DELETE_TABLE = "DELETE FROM bigtable_cells WHERE table_id = ?"
DELETE_ROWS_FROM = f"{DELETE_TABLE} AND row_key >= ?"
DELETE_ROWS_BETWEEN = f"{DELETE_ROWS_FROM} AND row_key < ?"
DELETE_FAMILY = f"{DELETE_TABLE} AND family = ?"
DELETE_ROW = f"{DELETE_TABLE} AND row_key = ?"
DELETE_FAMILY_OF_ROW = f"{DELETE_ROW} AND family = ?"
DELETE_COLUMN = f"{DELETE_FAMILY_OF_ROW} AND qualifier = ?"
# The timestamps of [start, end) are the reversed ones of (-end, -start].
DELETE_FROM = f"{DELETE_COLUMN} AND reversed_micros <= ?"
DELETE_BETWEEN = f"{DELETE_FROM} AND reversed_micros > ?"
DELETE_CELL = f"{DELETE_COLUMN} AND reversed_micros = ?"

# A slice ends after this many cells, bytes of contents, or ranges. No row is cut, so the last one can exceed them.
_SLICE_CELLS, _SLICE_BYTES, _SLICE_RANGES = 1000, 1 << 20, 1000
_FETCH_CELLS = 250

_SELECT = "SELECT family, qualifier, -reversed_micros, content, row_key FROM bigtable_cells WHERE table_id = ?"
_ORDER = " ORDER BY row_key, family, qualifier, reversed_micros"
_REVERSED = " ORDER BY row_key DESC, family, qualifier, reversed_micros"
_CONTENT, _ROW_KEY = itemgetter(3), itemgetter(4)
_ROW_SIZES = (
    "SELECT row_key, SUM(LENGTH(row_key) + LENGTH(qualifier) + LENGTH(content)) FROM bigtable_cells"
    " WHERE table_id = ? AND row_key > ? GROUP BY row_key ORDER BY row_key LIMIT ?"
)
_SLICE_ROWS = 1000
_CELL_KEYS = (
    "SELECT row_key, family, qualifier, -reversed_micros FROM bigtable_cells WHERE table_id = ?{condition}"
    " ORDER BY row_key, family, qualifier, reversed_micros LIMIT ?"
)
_AFTER = " AND (row_key, family, qualifier, reversed_micros) > (?, ?, ?, ?)"

# Row key, family, qualifier, timestamp in microseconds.
CellKey = tuple[bytes, str, bytes, int]
# Family, qualifier, timestamp in microseconds, content, row key.
StoredCell = tuple[str, bytes, int, bytes, bytes]
StoredRow = tuple[bytes, list[StoredCell]]


class KeyRange(NamedTuple):
    """Row keys from `start` up to, but without, `end`; None has no end."""

    start: bytes
    end: bytes | None


def read_slice(
    database: sqlite3.Connection, table_id: int, ranges: deque[KeyRange], columns: ColumnBounds, *, descending: bool
) -> list[StoredRow]:
    """Read the first rows of ranges, each with all its cells in bounds; removes from `ranges` what it read.

    Args:
        ranges: in the order of the read, without overlaps.
        columns: bounds of the columns.
        descending: whether rows are read from the last key to the first; the order of their cells is the same.
    """
    cells: list[StoredCell] = []
    size = 0
    for _ in range(min(len(ranges), _SLICE_RANGES)):
        keys = ranges.popleft()
        cursor = _select(database, table_id, keys, columns, descending=descending)
        while fetched := cursor.fetchmany(_FETCH_CELLS):
            cells += fetched
            size += sum(map(len, map(_CONTENT, fetched)))
            if len(cells) >= _SLICE_CELLS or size >= _SLICE_BYTES:
                cells += _rest_of_row(cursor, cells[-1][4])
                last = cells[-1][4]
                ranges.appendleft(KeyRange(keys.start, last) if descending else KeyRange(last + b"\0", keys.end))
                return list(_rows(cells))
    return list(_rows(cells))


def read_row(database: sqlite3.Connection, table_id: int, row_key: bytes) -> list[Cell]:
    """Read the cells of a row."""
    cursor = _select(database, table_id, KeyRange(row_key, row_key + b"\0"), ColumnBounds(), descending=False)
    return decode_cells(list(cursor))


def decode_cells(stored: Iterable[StoredCell]) -> list[Cell]:
    """Return the cells of a row with their values."""
    return [
        Cell(family, qualifier, timestamp, decode_value(content)) for family, qualifier, timestamp, content, _ in stored
    ]


def read_row_sizes(database: sqlite3.Connection, table_id: int, after: bytes) -> list[tuple[bytes, int]]:
    """Read the first row keys after one, each with the bytes of its cells; empty at the end of the table."""
    return database.execute(_ROW_SIZES, (table_id, after, _SLICE_ROWS)).fetchall()


def read_cell_keys(database: sqlite3.Connection, table_id: int, after: CellKey | None) -> list[CellKey]:
    """Read the first cell keys after one, in the order of the table; empty at the end of the table."""
    if after is None:
        return database.execute(_CELL_KEYS.format(condition=""), (table_id, _SLICE_CELLS)).fetchall()
    *column, timestamp = after
    parameters = (table_id, *column, -timestamp, _SLICE_CELLS)
    return database.execute(_CELL_KEYS.format(condition=_AFTER), parameters).fetchall()


def _select(
    database: sqlite3.Connection, table_id: int, keys: KeyRange, columns: ColumnBounds, *, descending: bool
) -> sqlite3.Cursor:
    conditions: list[tuple[str, str | bytes]] = []
    if keys.end == keys.start + b"\0":  # the only key of the range
        conditions.append(("row_key = ?", keys.start))
    else:
        conditions.append(("row_key >= ?", keys.start))
        if keys.end is not None:
            conditions.append(("row_key < ?", keys.end))
    if columns.family is not None:
        conditions.append(("family = ?", columns.family))
    if columns.start:
        conditions.append(("qualifier >= ?", columns.start))
    if columns.end is not None:
        conditions.append(("qualifier < ?", columns.end))
    sql = " AND ".join((_SELECT, *[condition for condition, _ in conditions])) + (_REVERSED if descending else _ORDER)
    return database.execute(sql, (table_id, *[parameter for _, parameter in conditions]))


def _rest_of_row(cursor: sqlite3.Cursor, row_key: bytes) -> list[StoredCell]:
    """Read the cells up to the end of a row, and close the cursor: an open one sees later changes."""
    cells = list(takewhile(lambda cell: cell[4] == row_key, cursor))
    cursor.close()
    return cells


def _rows(cells: list[StoredCell]) -> Iterator[StoredRow]:
    if cells and cells[0][4] == cells[-1][4]:
        yield cells[0][4], cells
        return
    for row_key, row in groupby(cells, _ROW_KEY):
        yield row_key, list(row)
