"""Chunks as columns: for ReadRows responses in which each chunk is a complete cell, as in nearly all of them.

A day of a million events is a million chunks, and an object per chunk would take most of a run's time. Concatenated
protobuf messages are one message whose repeated fields contain the elements of all of them. So the concatenated chunks
are parsed as one message of columns, in a third of the time per cell.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

from google.protobuf.message import DecodeError

from shared.bigtable.bigtable_pb2 import Answer, BytesValue, CellChunk, Columns, StringValue
from shared.bigtable.wire_format import WireFormatError

# First byte of a chunk with a row key, and of a chunk without a key but with a family.
_KEY_TAG, _FAMILY_TAG = 0x0A, 0x12


class CellRun(NamedTuple):
    """Consecutive cells of one row and family: their number, and whether the row is complete after them."""

    key: bytes
    family: str
    cells: int
    committed: bool


class PlainCells(NamedTuple):
    """Complete cells as columns."""

    runs: list[CellRun]
    qualifiers: list[bytes]
    micros: list[int]
    values: list[bytes]


def read_columns(data: bytes, key: bytes, family: str | None) -> tuple[list[bytes], bytes, PlainCells | None]:
    """Return the serialized chunks of a response, its last scanned row key, and the chunks as columns.

    Args:
        data: a serialized response.
        key: of the incomplete row before it; empty if there is none.
        family: of its last cell.

    Raises:
        WireFormatError: the data isn't a response.
    """
    try:
        response = Answer.FromString(data)
        chunks = list(response.chunks)
        return chunks, response.last_scanned_row_key, _plain_columns(chunks, key, family)
    except DecodeError as error:
        raise WireFormatError(str(error)) from None


def _plain_columns(chunks: list[bytes], key: bytes, family: str | None) -> PlainCells | None:
    """Return chunks as columns; None unless all are complete cells with a qualifier, a timestamp and no labels."""
    columns = Columns.FromString(b"".join(chunks))
    values = list(columns.value) or [b""] * len(chunks)  # a filter can strip the values
    if not len(columns.qualifier) == len(columns.timestamp_micros) == len(values) == len(chunks):
        return None
    if not chunks or columns.value_size or columns.reset_row or columns.labels:
        return None
    runs = _runs(chunks, columns, key, family)
    if runs is None:
        return None
    return PlainCells(runs, _unwrapped(list(columns.qualifier)), list(columns.timestamp_micros), values)


def _runs(chunks: list[bytes], columns: Columns, key: bytes, family: str | None) -> list[CellRun] | None:
    """Return the runs of chunks; None if their row keys and families don't fit together."""
    named = _named_runs(chunks, list(columns.row_key), list(columns.family_name))
    if named is None:
        return None
    runs: list[CellRun] = []
    stop, inside = 0, bool(key)
    for (new_key, new_family), cells in named:
        if inside == bool(new_key and new_key != key):
            return None
        key = new_key or key
        family = _family(new_family) if new_family else family
        if family is None:
            return None
        stop += cells
        # Only the last chunk of a run may commit its row. The final count finds any other commit.
        inside = not CellChunk.FromString(chunks[stop - 1]).commit_row
        runs.append(CellRun(key, family, cells, not inside))
    return runs if sum(run.committed for run in runs) == len(columns.commit_row) else None


def _named_runs(
    chunks: list[bytes], keys: list[bytes], families: list[bytes]
) -> list[tuple[tuple[bytes, bytes], int]] | None:
    """Return ((key, family), number of cells) of each run; key and family are empty where they don't change.

    The emulator repeats key and family in every chunk; Bigtable sends each where it changes. Fields are serialized in
    the order of their numbers, so a chunk that changes them begins with them. Return None if that doesn't hold.
    """
    if len(keys) == len(families) == len(chunks):
        return [(named, len(list(cells))) for named, cells in groupby(zip(keys, families, strict=True))]
    starts = [index for index, chunk in enumerate(chunks) if chunk[0] in (_KEY_TAG, _FAMILY_TAG)]
    new_key = [chunks[start][0] == _KEY_TAG for start in starts]
    if len(families) != len(starts) or len(keys) != sum(new_key):
        return None
    next_key = iter(keys)
    named = [(next(next_key) if new else b"", family) for new, family in zip(new_key, families, strict=True)]
    if starts[:1] != [0]:
        named.insert(0, (b"", b""))
        starts.insert(0, 0)
    sizes = (stop - start for start, stop in pairwise((*starts, len(chunks))))
    return list(zip(named, sizes, strict=True))


@lru_cache(maxsize=256)
def _family(wrapped: bytes) -> str:
    return str(StringValue.FromString(wrapped).value)


def _unwrapped(wrapped: list[bytes]) -> list[bytes]:
    """Return the contents of serialized BytesValues; below 128 bytes they follow two bytes, tag and length."""
    if max(map(len, wrapped)) < 130:
        return [each[2:] for each in wrapped]
    return [BytesValue.FromString(each).value for each in wrapped]
