"""Contents of cells in the database: the serialized chunk of ReadRows without row key and family.

A read joins the contents of a row instead of encoding each cell, which halves its time.
"""

from __future__ import annotations

from shared.bigtable.bigtable_pb2 import CellChunk


def encode_content(qualifier: bytes, timestamp: int, value: bytes) -> bytes:
    """Return the content of a cell with a timestamp in microseconds."""
    chunk = CellChunk(qualifier={"value": qualifier}, timestamp_micros=timestamp, value=value)
    return bytes(chunk.SerializeToString())


def decode_value(content: bytes) -> bytes:
    """Return the value of a cell."""
    return bytes(CellChunk.FromString(content).value)
