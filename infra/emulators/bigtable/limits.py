"""Bigtable's limits of row keys, qualifiers, values and timestamps (https://cloud.google.com/bigtable/quotas#limits)."""

from __future__ import annotations

from infra.emulators.errors import invalid

MAX_ROW_KEY = 4 << 10  # bytes
MAX_QUALIFIER = 16 << 10  # bytes
MAX_VALUE = 100 << 20  # bytes
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
