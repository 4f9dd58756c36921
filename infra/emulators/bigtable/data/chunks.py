"""Responses of ReadRows: the cells of rows as serialized chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any

from infra.emulators.bigtable import limits
from infra.emulators.bigtable.cells import Cell
from infra.emulators.bigtable.storage.contents import encode_content
from shared.bigtable.bigtable_pb2 import Answer, CellChunk

# Bytes of a value in one chunk; a longer value is split. Also about the bytes of a response.
MAX_CHUNK = 1 << 20
_MAX_CHUNKS = 1000

# A row key, and cells: tuples of family, qualifier, timestamp in microseconds, content, and more.
Row = tuple[bytes, Sequence[tuple[Any, ...]]]

_content = itemgetter(3)

# Concatenated messages of protobuf are one message with the fields of all of them.
_COMMIT = CellChunk(commit_row=True).SerializeToString()


def encode_cells(cells: Iterable[Cell]) -> list[tuple[str, bytes, int, bytes]]:
    """Return the cells of a row with their contents instead of values and labels."""
    return [
        (
            family,
            qualifier,
            timestamp,
            encode_content(qualifier, timestamp, value) + (_labels(labels) if labels else b""),
        )
        for family, qualifier, timestamp, value, labels in cells
    ]


def responses(rows: Iterable[Row]) -> Iterator[bytes]:
    """Return the serialized responses of rows, each with one cell or more; a row can continue in the next response.

    A chunk names row key and family where they change, and always the qualifier.

    Raises:
        ApiError: FAILED_PRECONDITION, after the rows before it, if a row is too large to be read in full.
    """
    pending: list[bytes] = []
    pending_bytes = 0
    for row_key, cells in rows:
        row_bytes = 0
        for chunks in _chunks(row_key, cells):
            size = sum(map(len, chunks))
            row_bytes += size
            too_large = row_bytes > limits.MAX_ROW
            if pending and (too_large or pending_bytes + size > MAX_CHUNK or len(pending) + len(chunks) > _MAX_CHUNKS):
                yield _serialize(pending)
                pending, pending_bytes = [], 0
            if too_large:
                raise limits.row_too_large(row_key)
            if size > MAX_CHUNK:
                yield from map(_serialize, _distribute(chunks))
                continue
            pending += chunks
            pending_bytes += size
    if pending:
        yield _serialize(pending)


def _chunks(row_key: bytes, cells: Sequence[tuple[Any, ...]]) -> Iterator[list[bytes]]:
    """Yield the chunks of a row, a limited number at a time."""
    family = None
    for start in range(0, len(cells), _MAX_CHUNKS):
        part = cells[start : start + _MAX_CHUNKS]
        chunks = list(map(_content, part))
        if part[0][0] != part[-1][0]:
            for index, (before, cell) in enumerate(pairwise(part), 1):
                if cell[0] != before[0]:
                    chunks[index] = _family(cell[0]) + chunks[index]
        if part[0][0] != family:
            chunks[0] = _family(part[0][0]) + chunks[0]
        family = part[-1][0]
        if start == 0:
            chunks[0] = CellChunk(row_key=row_key).SerializeToString() + chunks[0]
        if start + len(part) == len(cells):
            chunks[-1] += _COMMIT
        yield chunks


def _distribute(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield chunks of long values in lists for one response each."""
    pending: list[bytes] = []
    size = 0
    for piece in chain.from_iterable(map(_split, chunks)):
        if pending and size + len(piece) > MAX_CHUNK:
            yield pending
            pending, size = [], 0
        pending.append(piece)
        size += len(piece)
    yield pending


def _split(chunk: bytes) -> Iterator[bytes]:
    """Yield the chunks of a cell; all but the last have the size of the whole value, and the last one commits."""
    message = CellChunk.FromString(chunk)
    value, commit = message.value, message.commit_row
    if len(value) <= MAX_CHUNK:
        yield chunk
        return
    message.commit_row = False
    last = (len(value) - 1) // MAX_CHUNK * MAX_CHUNK
    for start in range(0, last, MAX_CHUNK):
        message.value, message.value_size = value[start : start + MAX_CHUNK], len(value)
        yield message.SerializeToString()
        message = CellChunk()
    yield CellChunk(value=value[last:], commit_row=commit).SerializeToString()


def _serialize(chunks: list[bytes]) -> bytes:
    return bytes(Answer(chunks=chunks).SerializeToString())


@lru_cache(maxsize=256)
def _family(family: str) -> bytes:
    return bytes(CellChunk(family_name={"value": family}).SerializeToString())


def _labels(labels: Sequence[str]) -> bytes:
    return bytes(CellChunk(labels=labels).SerializeToString())
