"""Mutations of cells in serialized form.

SetCell mutations are encoded as protobuf bytes for many cells at once. Protobuf objects take 1.6 times as long, which
is a tenth of the whole time of an event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from operator import add
from struct import iter_unpack

import msgspec

from shared.bigtable.wire_format import (
    ENTRY,
    FAMILY,
    MUTATION,
    QUALIFIER,
    ROW_KEY,
    SET_CELL,
    VALUE,
    bytes_field,
    varint,
    varint_field,
)

# A row with more mutations becomes several entries. A request may have 100,000 mutations
# (https://cloud.google.com/bigtable/quotas#limits-operations); the emulator accepts more.
MAX_MUTATIONS_PER_ENTRY = 20_000

# Fields of Mutation.
_DELETE_FROM_COLUMN, _DELETE_FROM_ROW = 2, 4

# Bytes of a serialized timestamp from 1987 to 4253: eight, and one of its tag.
TIMESTAMP_BYTES = 9

# Timestamps that are encoded without Google's package, which takes as long as 100,000 of them to import.
_FEW_TIMESTAMPS = 16


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Mutations of one row, which Bigtable applies atomically.

    Attributes:
        wire: a serialized request with this entry alone; concatenated ones are a request with all their entries.
        mutations: number of mutations.
        row_key: of the row.
    """

    wire: bytes
    mutations: int
    row_key: bytes


def timestamp_fields(micros: Sequence[int]) -> list[bytes]:
    """Return the serialized field `timestamp_micros` of each cell, `TIMESTAMP_BYTES` long from 1987 to 4253."""
    if micros[0] == micros[-1] and len(set(micros)) == 1:  # the cells of a run
        return [b"\x18" + varint(micros[0])] * len(micros)
    if len(micros) < _FEW_TIMESTAMPS or min(micros) < 1 << 49 or max(micros) >= 1 << 56:
        return [b"\x18" + varint(each) for each in micros]
    from shared.bigtable.bigtable_pb2 import Times  # late: see `wire_format`

    fields = Times(timestamp_micros=micros).SerializeToString()
    return list(chain.from_iterable(iter_unpack(f"{TIMESTAMP_BYTES}s", fields)))


class Mutations:
    """Mutations of cells; those of a row are applied in the order in which they were added."""

    def __init__(self) -> None:
        self._row_keys: list[bytes] = []  # of each mutation
        self._mutations: list[bytes] = []

    def set_cell(self, row_key: bytes, family: str, qualifier: bytes, micros: int, value: bytes) -> None:
        """Add a SetCell.

        Args:
            row_key: of the row.
            family: of the column.
            qualifier: of the column.
            micros: the cell's timestamp in microseconds since 1970, a whole number of milliseconds.
            value: of the cell.
        """
        self.set_cells(family, [(row_key, qualifier, micros)], [value])

    def set_cells(self, family: str, cell_keys: Sequence[tuple[bytes, bytes, int]], values: Sequence[bytes]) -> None:
        """Add a SetCell for each value; a cell key is (row key, qualifier, micros) as `set_cell` takes them."""
        if not cell_keys:
            return
        row_keys, qualifiers, micros = zip(*cell_keys, strict=True)
        families = [FAMILY.of([family.encode()])[0] + family.encode()] * len(cell_keys)
        headers, value_headers = QUALIFIER.of(qualifiers), VALUE.of(values)
        fields = zip(families, headers, qualifiers, timestamp_fields(micros), value_headers, values, strict=True)
        cells = list(map(b"".join, fields))
        self._row_keys += row_keys
        self._mutations += map(add, SET_CELL.of(cells), cells)

    def delete_cells(self, row_key: bytes, family: str, qualifier: bytes, start: int = 0, end: int = 0) -> None:
        """Add the deletion of a column's cells in [start, end), microseconds since 1970; an `end` of 0 is unbounded."""
        column = bytes_field(1, family.encode()) + bytes_field(2, qualifier)
        time_range = bytes_field(3, varint_field(1, start) + varint_field(2, end))
        self._add(row_key, bytes_field(_DELETE_FROM_COLUMN, column + time_range))

    def delete_row(self, row_key: bytes) -> None:
        """Add the deletion of a row."""
        self._add(row_key, bytes_field(_DELETE_FROM_ROW, b""))

    def _add(self, row_key: bytes, mutation: bytes) -> None:
        self._row_keys.append(row_key)
        self._mutations.append(MUTATION.of([mutation])[0] + mutation)

    def entries(self) -> list[Entry]:
        """Return an entry per row; a row of more than `MAX_MUTATIONS_PER_ENTRY` mutations has several."""
        if len(set(self._row_keys)) == len(self._row_keys):
            return self.single_entries()
        return _entries(*_by_row(self._row_keys, self._mutations))

    def single_entries(self) -> list[Entry]:
        """Return an entry per mutation, in the order in which they were added."""
        return _entries(self._row_keys, self._mutations, [1] * len(self._mutations)) if self._mutations else []

    def __len__(self) -> int:
        return len(self._mutations)


def _entries(row_keys: Sequence[bytes], mutations: Sequence[bytes], counts: Sequence[int]) -> list[Entry]:
    """Return an entry for each row key, its concatenated mutations and their number."""
    contents = list(map(b"".join, zip(ROW_KEY.of(row_keys), row_keys, mutations, strict=True)))
    return list(map(Entry, map(add, ENTRY.of(contents), contents), counts, row_keys))


def _by_row(row_keys: list[bytes], mutations: list[bytes]) -> tuple[list[bytes], list[bytes], list[int]]:
    """Return row keys, the concatenated mutations of each and their number, within the limit of an entry."""
    rows: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for row_key, mutation in zip(row_keys, mutations, strict=True):
        rows[row_key].append(mutation)
    parts = [
        (row_key, of_row[start : start + MAX_MUTATIONS_PER_ENTRY])
        for row_key, of_row in rows.items()
        for start in range(0, len(of_row), MAX_MUTATIONS_PER_ENTRY)
    ]
    return [row_key for row_key, _ in parts], [b"".join(part) for _, part in parts], [len(part) for _, part in parts]
