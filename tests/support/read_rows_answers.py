"""ReadRows responses made with Google's classes, and errors as gRPC raises them."""

from __future__ import annotations

from typing import Any

from google.cloud.bigtable_v2.types import ReadRowsResponse
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

Chunk: Any = ReadRowsResponse.CellChunk.pb()


def answer(**fields: Any) -> bytes:
    """Return a serialized response."""
    data: bytes = ReadRowsResponse.pb()(**fields).SerializeToString()
    return data


def chunk(key: bytes = b"", *, commit: bool = True, **fields: Any) -> Any:
    """Return a chunk; with a key it begins a row, and by default it is a complete row of one cell."""
    family, qualifier = fields.pop("family", "e" if key else None), fields.pop("qualifier", b"q" if key else None)
    made = Chunk(row_key=key, **fields)
    if commit:
        made.commit_row = True
    if family is not None:
        made.family_name.value = family
    if qualifier is not None:
        made.qualifier.value = qualifier
    return made


def failed(code: StatusCode, details: str = "x") -> AioRpcError:
    """Return the error that a call raises."""
    return AioRpcError(code, Metadata(), Metadata(), details)
