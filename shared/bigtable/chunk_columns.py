"""Chunks of cells as columns: for answers of ReadRows in which each chunk is one whole cell, as almost all are.

A day of a million events is a million chunks, and an object for each with a call for each of its fields would take
most of a run's time. Messages put together on the wire are one message whose repeated fields have the elements of all.
So chunks, one behind the other, are read as one message of columns, and what has to hold of each chunk is seen of the
columns. With that a cell takes a third of the time.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

from shared.bigtable.bigtable_pb2 import BytesValue, CellChunk, Columns, StringValue

_KEY_TAG, _FAMILY_TAG = 0x0A, 0x12  # what a chunk begins with that has a row key, or no key but a family


class CellRun(NamedTuple):
    """Neighbouring cells of one row and family: how many, and whether the row is whole then."""

    key: bytes
    family: str
    cells: int
    committed: bool


class Plain(NamedTuple):
    """Whole cells as columns."""

    runs: list[CellRun]
    qualifiers: list[bytes]
    micros: list[int]
    values: list[bytes]


def plain_columns(chunks: list[bytes], key: bytes, family: str | None) -> Plain | None:
    """Return chunks as columns; None if they aren't all whole cells with a qualifier, a time, a value and no labels.

    Args:
        chunks: as they are on the wire.
        key: of the row that is begun already; empty if none is.
        family: of its last cell.
    """
    columns = Columns.FromString(b"".join(chunks))
    values = list(columns.value) or [b""] * len(chunks)  # a filter can take the values away
    if not len(columns.qualifier) == len(columns.timestamp_micros) == len(values) == len(chunks):
        return None
    if not chunks or columns.value_size or columns.reset_row or columns.labels:
        return None
    runs = _runs(chunks, columns, key, family)
    if runs is None:
        return None
    return Plain(runs, _unwrapped(list(columns.qualifier)), list(columns.timestamp_micros), values)


def _runs(chunks: list[bytes], columns: Columns, key: bytes, family: str | None) -> list[CellRun] | None:
    """Return the runs of chunks; None if they aren't plainly told, or can't be."""
    told = _told(chunks, list(columns.row_key), list(columns.family_name))
    if told is None:
        return None
    runs: list[CellRun] = []
    stop, inside = 0, bool(key)
    for (new_key, new_family), cells in told:
        if inside == bool(new_key and new_key != key):
            return None
        key = new_key or key
        family = _family(new_family) if new_family else family
        if family is None:
            return None
        stop += cells
        # The last chunk of a run alone can be the end of its row; an end before that makes one more than are found.
        inside = not CellChunk.FromString(chunks[stop - 1]).commit_row
        runs.append(CellRun(key, family, cells, not inside))
    return runs if sum(run.committed for run in runs) == len(columns.commit_row) else None


def _told(
    chunks: list[bytes], keys: list[bytes], families: list[bytes]
) -> list[tuple[tuple[bytes, bytes], int]] | None:
    """Return ((key, family), how many cells) as chunks tell them, empty where they tell of nothing new.

    The emulator tells key and family in every chunk, Bigtable each where it begins. A chunk's fields come in the order
    of their numbers, so one that tells something new begins with it; None if there is more than is found so.
    """
    if len(keys) == len(families) == len(chunks):
        return [(named, len(list(cells))) for named, cells in groupby(zip(keys, families, strict=True))]
    cell_keys = [cell_key for cell_key, chunk in enumerate(chunks) if chunk[0] in (_KEY_TAG, _FAMILY_TAG)]
    new_key = [chunks[cell_key][0] == _KEY_TAG for cell_key in cell_keys]
    if len(families) != len(cell_keys) or len(keys) != sum(new_key):
        return None
    next_key = iter(keys)
    named = [(next(next_key) if new else b"", family) for new, family in zip(new_key, families, strict=True)]
    if cell_keys[:1] != [0]:
        named.insert(0, (b"", b""))
        cell_keys.insert(0, 0)
    sizes = (stop - start for start, stop in pairwise((*cell_keys, len(chunks))))
    return list(zip(named, sizes, strict=True))


@lru_cache(maxsize=256)
def _family(wrapped: bytes) -> str:
    return str(StringValue.FromString(wrapped).value)


def _unwrapped(wrapped: list[bytes]) -> list[bytes]:
    """Return the texts in wrappers: behind the field's number and the length, a byte each for texts below 128."""
    if max(map(len, wrapped)) < 130:
        return [each[2:] for each in wrapped]
    return [BytesValue.FromString(each).value for each in wrapped]
