"""Bigtable's limits of row keys, qualifiers, values and timestamps (https://cloud.google.com/bigtable/quotas#limits)."""

from __future__ import annotations

from base64 import b64encode

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from infra.emulators.errors import ApiError, invalid

MAX_ROW_KEY = 4 << 10  # bytes
MAX_QUALIFIER = 16 << 10  # bytes
MAX_VALUE = 100 << 20  # bytes
MAX_ROW = 256 << 20  # bytes of the row that a read returns
MAX_MUTATIONS = 100_000  # of a request
_MILLISECOND = 1000  # microseconds


def check_row_key(row_key: bytes) -> None:
    """Raise INVALID_ARGUMENT unless a row may have this key."""
    if not row_key:
        raise invalid("row_key: found an empty key, expected 1 byte or more")
    if len(row_key) > MAX_ROW_KEY:
        raise invalid(f"row_key: found {len(row_key)} bytes, expected {MAX_ROW_KEY} or fewer")


def check_qualifier(qualifier: bytes) -> None:
    """Raise INVALID_ARGUMENT unless a column may have this qualifier."""
    if len(qualifier) > MAX_QUALIFIER:
        raise invalid(f"column_qualifier: found {len(qualifier)} bytes, expected {MAX_QUALIFIER} or fewer")


def check_value(value: bytes) -> None:
    """Raise INVALID_ARGUMENT unless a cell may have this value."""
    if len(value) > MAX_VALUE:
        raise invalid(f"value: found {len(value)} bytes, expected {MAX_VALUE} or fewer")


def check_timestamp(micros: int, field: str = "timestamp_micros") -> None:
    """Raise INVALID_ARGUMENT unless a cell may have this timestamp, in microseconds."""
    if micros < 0:
        raise invalid(f"{field}: found {micros}, expected 0 or more")
    if micros % _MILLISECOND:
        raise invalid(f"{field}: found {micros}, expected whole milliseconds: a multiple of {_MILLISECOND}")


def check_mutation_count(count: int) -> None:
    """Raise INVALID_ARGUMENT unless a request may have this number of mutations."""
    if count > MAX_MUTATIONS:
        raise invalid(f"mutations: found {count} in the request, expected {MAX_MUTATIONS} or fewer")


def row_too_large(row_key: bytes) -> ApiError:
    """Return the FAILED_PRECONDITION error of a read that would return a row with more than MAX_ROW bytes.

    The details name the row, by which clients skip it: LargeReadRowsResumptionStrategy in
    https://github.com/googleapis/java-bigtable
    """
    text = f"row {row_key!r}: found more than {MAX_ROW} bytes to return, expected a filter that selects fewer cells"
    info = AnyMessage()
    info.Pack(
        ErrorInfo(
            reason="LargeRowReadError",
            domain="bigtable.googleapis.com",
            metadata={"rowKeyBase64Encoded": b64encode(row_key).decode()},
        )
    )
    code = grpc.StatusCode.FAILED_PRECONDITION
    status = Status(code=code.value[0], message=text, details=[info])
    return ApiError(code, text, status.SerializeToString())
