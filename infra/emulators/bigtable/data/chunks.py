"""Responses of ReadRows: the cells of rows as chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any

from infra.emulators.bigtable.limits import MAX_QUALIFIER
from shared.bigtable.bigtable_pb2 import FlatResponse

# Bytes of a value in one chunk; a longer value is split. Also about the bytes of a response.
MAX_CHUNK = 1 << 20
_MAX_CHUNKS = 1000

# A row key, and cells: tuples that begin with the fields of a `Cell`.
Row = tuple[bytes, Sequence[tuple[Any, ...]]]
# The fields of a `FlatChunk`. A dict costs less time than an object of protobuf.
_Chunk = dict[str, Any]

_labels = itemgetter(4)


def responses(rows: Iterable[Row]) -> Iterator[bytes]:
    """Return the serialized responses of rows, each with one cell or more; a row can continue in the next response.

    A chunk names row key and family where they change, and always the qualifier.
    """
    pending: list[_Chunk] = []
    pending_bytes = 0
    for chunks, size in chain.from_iterable(_parts(row_key, cells) for row_key, cells in rows):
        if pending and (pending_bytes + size > MAX_CHUNK or len(pending) + len(chunks) > _MAX_CHUNKS):
            yield _serialize(pending)
            pending, pending_bytes = [], 0
        if size > MAX_CHUNK:
            yield from map(_serialize, _distribute(chunks))
            continue
        pending += chunks
        pending_bytes += size
    if pending:
        yield _serialize(pending)


def _parts(row_key: bytes, cells: Sequence[tuple[Any, ...]]) -> Iterator[tuple[list[_Chunk], int]]:
    """Yield the chunks of a row, a limited number at a time, and the bytes of their values."""
    family = None
    for start in range(0, len(cells), _MAX_CHUNKS):
        part = cells[start : start + _MAX_CHUNKS]
        chunks: list[_Chunk] = [
            {"qualifier": _PREFIXES[len(cell[1])] + cell[1], "timestamp_micros": cell[2], "value": cell[3]}
            for cell in part
        ]
        if start == 0:
            chunks[0]["row_key"] = row_key
        if part[0][0] != family:
            chunks[0]["family_name"] = _wrap(part[0][0])
        family = part[-1][0]
        if part[0][0] != family:
            for (before, cell), chunk in zip(pairwise(part), chunks[1:], strict=True):
                if cell[0] != before[0]:
                    chunk["family_name"] = _wrap(cell[0])
        if any(map(_labels, part)):
            for cell, chunk in zip(part, chunks, strict=True):
                chunk["labels"] = cell[4]
        if start + len(part) == len(cells):
            chunks[-1]["commit_row"] = True
        yield chunks, sum([len(cell[3]) for cell in part])


def _distribute(chunks: Iterable[_Chunk]) -> Iterator[list[_Chunk]]:
    """Yield chunks of long values in lists for one response each."""
    pending: list[_Chunk] = []
    size = 0
    for piece in chain.from_iterable(map(_split, chunks)):
        if pending and size + len(piece["value"]) > MAX_CHUNK:
            yield pending
            pending, size = [], 0
        pending.append(piece)
        size += len(piece["value"])
    yield pending


def _split(chunk: _Chunk) -> Iterator[_Chunk]:
    """Yield the chunks of a cell; all but the last have the size of the whole value, and the last one commits."""
    value = chunk["value"]
    if len(value) <= MAX_CHUNK:
        yield chunk
        return
    last = (len(value) - 1) // MAX_CHUNK * MAX_CHUNK
    named = {field: content for field, content in chunk.items() if field not in ("value", "commit_row")}
    for start in range(0, last, MAX_CHUNK):
        yield named | {"value": value[start : start + MAX_CHUNK], "value_size": len(value)}
        named = {}
    yield {"value": value[last:], "commit_row": chunk.get("commit_row")}


def _serialize(chunks: list[_Chunk]) -> bytes:
    return bytes(FlatResponse(chunks=chunks).SerializeToString())


def _wrap(family: str) -> bytes:
    """Return a serialized StringValue."""
    name = family.encode()
    return _PREFIXES[len(name)] + name


def _varint(number: int) -> bytes:
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*[group | 0x80 for group in groups[:-1]], groups[-1]])


# What precedes the bytes in a serialized BytesValue or StringValue, by their number: the tag of field 1 and a length.
_PREFIXES = [b"\x0a" + _varint(size) for size in range(MAX_QUALIFIER + 1)]
