"""CheckAndMutateRow and ReadModifyWriteRow: calls that read a row and write to it."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from typing import Any

import grpc

from infra.emulators.bigtable.cells import Cell, in_order
from infra.emulators.bigtable.clock import server_time
from infra.emulators.bigtable.data.aggregates import INTEGER_BYTES, add_integers, to_bytes
from infra.emulators.bigtable.data.mutations import translate_mutations
from infra.emulators.bigtable.filters import compile_filter
from infra.emulators.bigtable.limits import check_mutation_count, check_qualifier, check_row_key, check_value
from infra.emulators.bigtable.storage.cell_table import SET_CELL, read_row
from infra.emulators.bigtable.storage.contents import encode_content
from infra.emulators.bigtable.storage.gc_rules import Collector
from infra.emulators.bigtable.storage.tables import Table
from infra.emulators.bigtable.storage.transactions import execute, transaction
from infra.emulators.errors import ApiError, invalid
from shared.bigtable import bigtable_pb2


def check_and_mutate(database: sqlite3.Connection, table: Table, request: Any) -> bool:
    """Apply the true or the false mutations of a `CheckAndMutateRowRequest`; returns whether the filter matched."""
    row_key = request.row_key
    check_row_key(row_key)
    check_mutation_count(len(request.true_mutations) + len(request.false_mutations))
    if not request.true_mutations and not request.false_mutations:
        raise invalid("true_mutations and false_mutations: found none, expected 1 or more")
    passing = compile_filter(request.predicate_filter)
    # Both lists are validated, whichever of them applies.
    when = {
        matched: translate_mutations(table, row_key, mutations) if mutations else []
        for matched, mutations in ((True, request.true_mutations), (False, request.false_mutations))
    }
    with transaction(database):
        matched = bool(passing(row_key, _kept_cells(database, table, row_key)))
        execute(database, when[matched])
    return matched


def read_modify_write(database: sqlite3.Connection, table: Table, request: Any) -> Any:
    """Apply the rules of a `ReadModifyWriteRowRequest` in their order; returns the `Row` of the new cells."""
    row_key = request.row_key
    check_row_key(row_key)
    if not request.rules:
        raise invalid("rules: found none, expected 1 or more")
    check_mutation_count(len(request.rules))
    for rule in request.rules:
        table.require_family(rule.family_name)
        check_qualifier(rule.column_qualifier)
    with transaction(database):
        newest: dict[tuple[str, bytes], Cell] = {}
        for cell in reversed(_kept_cells(database, table, row_key)):
            newest[cell.family, cell.qualifier] = cell
        written: dict[tuple[str, bytes], Cell] = {}
        for rule in request.rules:
            column = (rule.family_name, rule.column_qualifier)
            newest[column] = written[column] = _apply(rule, newest.get(column))
        parameters = [
            (
                table.id,
                row_key,
                cell.family,
                cell.qualifier,
                -cell.timestamp,
                encode_content(cell.qualifier, cell.timestamp, cell.value),
            )
            for cell in written.values()
        ]
        database.executemany(SET_CELL, parameters)
    return row_message(row_key, in_order(list(written.values())))


def row_message(row_key: bytes, cells: list[Cell]) -> Any:
    """Return the `google.bigtable.v2.Row` of cells in order."""
    row = bigtable_pb2.Row(key=row_key)
    for family, of_family in groupby(cells, lambda cell: cell.family):
        columns = row.families.add(name=family).columns
        for qualifier, of_column in groupby(of_family, lambda cell: cell.qualifier):
            column = columns.add(qualifier=qualifier)
            for cell in of_column:
                column.cells.add(timestamp_micros=cell.timestamp, value=cell.value)
    return row


def _kept_cells(database: sqlite3.Connection, table: Table, row_key: bytes) -> list[Cell]:
    return Collector(table.rules, server_time()).kept(row_key, read_row(database, table.id, row_key))


def _apply(rule: Any, current: Cell | None) -> Cell:
    """Return the cell that a rule writes; it is never older than the cell it replaces."""
    value = current.value if current else b""
    if rule.WhichOneof("rule") == "append_value":
        value += rule.append_value
    elif rule.WhichOneof("rule") == "increment_amount":
        if current and len(value) != INTEGER_BYTES:
            text = f"increment_amount: found a cell of {len(value)} bytes, expected {INTEGER_BYTES}: a 64-bit integer"
            raise ApiError(grpc.StatusCode.FAILED_PRECONDITION, text)
        value = add_integers(value, to_bytes(rule.increment_amount))
    else:
        raise invalid("rule: found none, expected append_value or increment_amount")
    check_value(value)
    timestamp = max(server_time(), current.timestamp if current else 0)
    return Cell(rule.family_name, rule.column_qualifier, timestamp, value)
