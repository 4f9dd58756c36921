"""Chunks of ReadRows responses, each a cell or a part of one. Pure."""

from __future__ import annotations

import msgspec

from shared.bigtable.wire_format import read_fields


class Chunk(msgspec.Struct, gc=False):
    """A cell, a part of one, or a command to drop the incomplete row.

    Attributes:
        family, qualifier: None where they are those of the chunk before.
        micros: timestamp in microseconds since 1970.
        value_size: of the whole value, if this isn't its last part.
    """

    row_key: bytes = b""
    family: str | None = None
    qualifier: bytes | None = None
    micros: int = 0
    labels: tuple[str, ...] = ()
    value: bytes = b""
    value_size: int = 0
    reset_row: bool = False
    commit_row: bool = False


def read_response(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the serialized chunks and the last scanned row key of a response; raise WireFormatError if it is none."""
    chunks: list[bytes] = []
    scanned = b""
    for number, _, content in read_fields(data):
        match number:  # as in bigtable.proto
            case 1:
                chunks.append(content)
            case 2:
                scanned = content
    return chunks, scanned


def read_chunk(data: bytes) -> Chunk:
    """Return a chunk; raise WireFormatError if it is none."""
    chunk = Chunk()
    for number, integer, content in read_fields(data):
        match number:  # as in bigtable.proto
            case 1:
                chunk.row_key = content
            case 2:
                chunk.family = _wrapped(content).decode()
            case 3:
                chunk.qualifier = _wrapped(content)
            case 4:
                chunk.micros = integer
            case 5:
                chunk.labels += (content.decode(),)
            case 6:
                chunk.value = content
            case 7:
                chunk.value_size = integer
            case 8:
                chunk.reset_row, chunk.commit_row = bool(integer), False
            case 9:
                chunk.reset_row, chunk.commit_row = False, bool(integer)
    return chunk


def _wrapped(data: bytes) -> bytes:
    """Return the content of a StringValue or BytesValue, whose default is omitted."""
    return next((content for number, _, content in read_fields(data) if number == 1), b"")
