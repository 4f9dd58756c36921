"""Responses of ReadRows: the cells of rows as chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from shared.bigtable.bigtable_pb2 import ReadRowsResponse

# Bytes of a value in one chunk; a longer value is split. Also about the bytes of a response.
MAX_CHUNK = 1 << 20
_MAX_CHUNKS = 1000

# A row key, and cells: tuples that begin with the fields of a `Cell`.
Row = tuple[bytes, Sequence[tuple[Any, ...]]]


def responses(rows: Iterable[Row]) -> Iterator[bytes]:
    """Return the serialized responses of rows, each with one cell or more; a row can continue in the next response.

    A chunk names row key and family where they change, and always the qualifier.
    """
    chunks: list[dict[str, Any]] = []
    size = 0
    for row_key, cells in rows:
        family = None
        for cell in cells:
            # Before the next cell, so that the last chunk of the row is still there to be committed.
            if size >= MAX_CHUNK or len(chunks) >= _MAX_CHUNKS:
                yield _serialize(chunks)
                chunks, size = [], 0
            value = cell[3]
            chunk = {"qualifier": {"value": cell[1]}, "timestamp_micros": cell[2], "value": value}
            if cell[0] != family:
                if family is None:
                    chunk["row_key"] = row_key
                family = cell[0]
                chunk["family_name"] = {"value": family}
            if cell[4]:
                chunk["labels"] = cell[4]
            if len(value) > MAX_CHUNK:
                *pieces, chunk = _split(chunk)
                for piece in pieces:
                    yield _serialize([*chunks, piece])
                    chunks = []
            chunks.append(chunk)
            size += len(value)
        chunks[-1]["commit_row"] = True
    if chunks:
        yield _serialize(chunks)


def _split(chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the chunks of a cell with a long value; all but the last have the size of the whole value."""
    value = chunk["value"]
    last = (len(value) - 1) // MAX_CHUNK * MAX_CHUNK
    for start in range(0, last, MAX_CHUNK):
        piece = {"value": value[start : start + MAX_CHUNK], "value_size": len(value)}
        yield chunk | piece if start == 0 else piece
    yield {"value": value[last:]}


def _serialize(chunks: list[dict[str, Any]]) -> bytes:
    return bytes(ReadRowsResponse(chunks=chunks).SerializeToString())
