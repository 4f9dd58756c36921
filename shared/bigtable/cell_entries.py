"""Entries of MutateRows with one cell each, made column by column. Pure.

An entry is one concatenation of its parts. `Mutations` concatenates a cell, its mutation and its entry one after the
other, which takes three times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
from operator import add

from shared.bigtable.mutations import TIMESTAMP_BYTES, Entry, Mutations, timestamp_fields
from shared.bigtable.wire_format import ENTRY, FAMILY, QUALIFIER, ROW_KEY, SET_CELL, VALUE

# Bytes of a field, header included, by the length of its content.
_ROW_KEY_SIZES = [length + len(header) for length, header in enumerate(ROW_KEY.table)]
_QUALIFIER_SIZES = [length + len(header) for length, header in enumerate(QUALIFIER.table)]
_VALUE_SIZES = [length + len(header) for length, header in enumerate(VALUE.table)]


def cell_entries(
    family: str,
    row_keys: Sequence[bytes],
    qualifiers: Sequence[bytes],
    micros: Sequence[int],
    values: Sequence[bytes],
) -> list[Entry]:
    """Return an entry with one SetCell for each cell, in order; several entries may have the same row.

    Args:
        family: of the columns.
        row_keys, qualifiers, micros, values: of the cells; see `Mutations.set_cell`.
    """
    if not row_keys:
        return []
    timestamps = timestamp_fields(micros)
    if set(map(len, timestamps)) == {TIMESTAMP_BYTES}:
        try:
            return _short_entries(family, row_keys, qualifiers, timestamps, values)
        except IndexError:
            pass  # a part is longer than the tables
    mutations = Mutations()
    mutations.set_cells(family, list(zip(row_keys, qualifiers, micros, strict=True)), values)
    return mutations.single_entries()


def _short_entries(
    family: str,
    row_keys: Sequence[bytes],
    qualifiers: Sequence[bytes],
    timestamps: Sequence[bytes],
    values: Sequence[bytes],
) -> list[Entry]:
    """Return the entries; raise IndexError where a part is longer than the tables."""
    mutation_headers, mutation_sizes = _mutations_of(family)
    row_lengths, lengths, value_lengths = (list(map(len, each)) for each in (row_keys, qualifiers, values))
    # The bytes of a SetCell beside its family and its timestamp.
    sizes = list(map(add, map(_QUALIFIER_SIZES.__getitem__, lengths), map(_VALUE_SIZES.__getitem__, value_lengths)))
    entry_sizes = map(add, map(_ROW_KEY_SIZES.__getitem__, row_lengths), map(mutation_sizes.__getitem__, sizes))
    parts = zip(
        map(ENTRY.table.__getitem__, entry_sizes),
        map(ROW_KEY.table.__getitem__, row_lengths),
        row_keys,
        map(mutation_headers.__getitem__, sizes),
        map(QUALIFIER.table.__getitem__, lengths),
        qualifiers,
        timestamps,
        map(VALUE.table.__getitem__, value_lengths),
        values,
        strict=True,
    )
    return list(map(Entry, map(b"".join, parts), repeat(1), row_keys))


@lru_cache(maxsize=16)
def _mutations_of(family: str) -> tuple[list[bytes], list[int]]:
    """Return the start of a mutation with its family, and the bytes of the mutation, by the bytes of other fields."""
    encoded = family.encode()
    field = FAMILY.of([encoded])[0] + encoded
    fixed = len(field) + TIMESTAMP_BYTES
    headers = [header + field for header in SET_CELL.table[fixed:]]
    return headers, [size + TIMESTAMP_BYTES + len(header) for size, header in enumerate(headers)]
