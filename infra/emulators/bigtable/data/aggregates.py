"""Cells of aggregate families: sums, minima and maxima of 64-bit integers.

A cell of such a family is the state of the aggregate, a big-endian integer of 8 bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from infra.emulators.bigtable.limits import check_qualifier, check_timestamp
from infra.emulators.bigtable.storage.contents import decode_value, encode_content
from infra.emulators.bigtable.storage.tables import Table
from infra.emulators.bigtable.storage.transactions import Statement
from infra.emulators.errors import invalid

INTEGER_BYTES = 8

_MERGE_CELL = (
    "INSERT INTO bigtable_cells VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET content = {function}(qualifier, -reversed_micros, content, excluded.content)"
)


def create_functions(database: sqlite3.Connection) -> None:
    """Define the SQL functions of the aggregators."""
    for aggregator, merge in _AGGREGATORS.items():
        database.create_function(_function_name(aggregator), 4, partial(_merge_contents, merge), deterministic=True)


def add_integers(one: bytes, other: bytes) -> bytes:
    """Return the sum of two states; it wraps around, like Bigtable's."""
    return to_bytes(from_bytes(one) + from_bytes(other))


def to_bytes(value: int) -> bytes:
    """Return the lowest 64 bits of an integer as a big-endian two's complement."""
    return (value & (1 << 64) - 1).to_bytes(INTEGER_BYTES, "big")


def from_bytes(value: bytes) -> int:
    """Return the integer of a big-endian two's complement."""
    return int.from_bytes(value, "big", signed=True)


def add_to_cell(table: Table, row_key: bytes, mutation: Any) -> Statement:
    """Return the statement of an AddToCell, whose input is an integer."""
    if mutation.input.WhichOneof("kind") != "int_value":
        raise invalid(f"input: found {mutation.input.WhichOneof('kind')}, expected int_value")
    return _merge(table, row_key, mutation, to_bytes(mutation.input.int_value))


def merge_to_cell(table: Table, row_key: bytes, mutation: Any) -> Statement:
    """Return the statement of a MergeToCell, whose input is the state of an aggregate."""
    kind = mutation.input.WhichOneof("kind")
    state = mutation.input.raw_value if kind == "raw_value" else mutation.input.bytes_value
    if len(state) != INTEGER_BYTES:
        raise invalid(f"input: found {kind} of {len(state)} bytes, expected raw_value of {INTEGER_BYTES} bytes")
    return _merge(table, row_key, mutation, state)


def _merge(table: Table, row_key: bytes, mutation: Any, state: bytes) -> Statement:
    family = mutation.family_name
    table.require_family(family)
    aggregator = table.families[family]
    if aggregator not in _AGGREGATORS:
        found = aggregator or "no aggregate type"
        raise invalid(f"column family {family!r}: found {found}, expected one of {', '.join(_AGGREGATORS)}")
    for field in ("column_qualifier", "timestamp"):
        kind, expected = getattr(mutation, field).WhichOneof("kind"), _KINDS[field]
        if kind != expected:
            raise invalid(f"{field}: found {kind}, expected {expected}")
    qualifier, micros = mutation.column_qualifier.raw_value, mutation.timestamp.raw_timestamp_micros
    check_qualifier(qualifier)
    check_timestamp(micros, "timestamp")
    return (
        _MERGE_CELL.format(function=_function_name(aggregator)),
        (table.id, row_key, family, qualifier, -micros, encode_content(qualifier, micros, state)),
    )


def _merge_contents(
    merge: Callable[[bytes, bytes], bytes], qualifier: bytes, timestamp: int, one: bytes, other: bytes
) -> bytes:
    return encode_content(qualifier, timestamp, merge(decode_value(one), decode_value(other)))


def _function_name(aggregator: str) -> str:
    return f"bigtable_{aggregator}"


# By aggregator: the states of two cells -> the state of both.
_AGGREGATORS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "sum": add_integers,
    "min": lambda one, other: min(one, other, key=from_bytes),
    "max": lambda one, other: max(one, other, key=from_bytes),
}

_KINDS = {"column_qualifier": "raw_value", "timestamp": "raw_timestamp_micros"}
