"""Contents of cells in the database: serialized fields of a chunk of ReadRows.

The timestamp and the value of a cell are stored as a response needs them, so a read only joins them with what precedes
them. That halves the time of a read.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.bigtable.bigtable_pb2 import FlatChunk


def encode_content(timestamp: int, value: bytes, labels: Sequence[str] = ()) -> bytes:
    """Return the content of a cell with a timestamp in microseconds; only responses have labels."""
    content: bytes = FlatChunk(timestamp_micros=timestamp, labels=labels, value=value).SerializeToString()
    return content


def decode_value(content: bytes) -> bytes:
    """Return the value of a cell."""
    value: bytes = FlatChunk.FromString(content).value
    return value
