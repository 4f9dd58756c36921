"""Mutations of a row, validated and translated to SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from infra.emulators.bigtable.clock import server_time
from infra.emulators.bigtable.data.aggregates import add_to_cell, merge_to_cell
from infra.emulators.bigtable.limits import (
    MAX_QUALIFIER,
    MAX_VALUE,
    check_qualifier,
    check_row_key,
    check_timestamp,
    check_value,
)
from infra.emulators.bigtable.storage.cell_table import (
    DELETE_BETWEEN,
    DELETE_COLUMN,
    DELETE_FAMILY_OF_ROW,
    DELETE_FROM,
    DELETE_ROW,
    SET_CELL,
)
from infra.emulators.bigtable.storage.contents import encode_content
from infra.emulators.bigtable.storage.tables import Table
from infra.emulators.bigtable.storage.transactions import Statement
from infra.emulators.errors import invalid

# A timestamp that asks for the server's time.
_SERVER_TIME = -1


def translate_mutations(table: Table, row_key: bytes, mutations: Iterable[Any]) -> list[Statement]:
    """Return the statements of the mutations of a row.

    Raises:
        ApiError: INVALID_ARGUMENT, or NOT_FOUND for an unknown column family; no mutation of the row applies then.
    """
    check_row_key(row_key)
    table_id, families = table.id, table.families
    statements: list[Statement] = []
    for mutation in mutations:
        kind = mutation.WhichOneof("mutation")
        if kind == "set_cell":
            cell = mutation.set_cell
            family, qualifier, value = cell.family_name, cell.column_qualifier, cell.value
            micros = cell.timestamp_micros
            if micros == _SERVER_TIME:
                micros = server_time()
            # One condition for the common case; the checks say which part of it doesn't hold.
            if (
                family not in families
                or len(qualifier) > MAX_QUALIFIER
                or micros < 0
                or micros % 1000
                or len(value) > MAX_VALUE
            ):
                table.require_family(family)
                check_qualifier(qualifier)
                check_timestamp(micros)
                check_value(value)
            statements.append(
                (SET_CELL, (table_id, row_key, family, qualifier, -micros, encode_content(qualifier, micros, value)))
            )
        elif kind is None:
            raise invalid("mutation: found none, expected set_cell or another one")
        else:
            statements.append(_TRANSLATIONS[kind](table, row_key, getattr(mutation, kind)))
    if not statements:
        raise invalid("mutations: found none, expected 1 or more")
    return statements


def _delete_from_column(table: Table, row_key: bytes, mutation: Any) -> Statement:
    table.require_family(mutation.family_name)
    check_qualifier(mutation.column_qualifier)
    column = (table.id, row_key, mutation.family_name, mutation.column_qualifier)
    if not mutation.HasField("time_range"):
        return DELETE_COLUMN, column
    start, end = mutation.time_range.start_timestamp_micros, mutation.time_range.end_timestamp_micros
    check_timestamp(start, "time_range.start_timestamp_micros")
    check_timestamp(end, "time_range.end_timestamp_micros")
    if not end:
        return DELETE_FROM, (*column, -start)
    if start >= end:
        raise invalid(f"time_range: found [{start}, {end}), expected an end after the start")
    return DELETE_BETWEEN, (*column, -start, -end)


def _delete_from_family(table: Table, row_key: bytes, mutation: Any) -> Statement:
    table.require_family(mutation.family_name)
    return DELETE_FAMILY_OF_ROW, (table.id, row_key, mutation.family_name)


def _delete_from_row(table: Table, row_key: bytes, _mutation: Any) -> Statement:
    return DELETE_ROW, (table.id, row_key)


_TRANSLATIONS: dict[str, Callable[[Table, bytes, Any], Statement]] = {
    "delete_from_column": _delete_from_column,
    "delete_from_family": _delete_from_family,
    "delete_from_row": _delete_from_row,
    "add_to_cell": add_to_cell,
    "merge_to_cell": merge_to_cell,
}
