"""Row filters of Bigtable, compiled into functions."""

from __future__ import annotations

from itertools import chain
from typing import Any

from infra.emulators.bigtable.cells import Cell, in_order
from infra.emulators.bigtable.filter_rules import has_sink, validate_filter
from infra.emulators.bigtable.simple_filters import SIMPLE_FILTERS, Filter, block_all, pass_all

__all__ = ["Filter", "compile_filter"]


def compile_filter(message: Any) -> Filter:
    """Return the filter of a `google.bigtable.v2.RowFilter`.

    The filter takes a row key and the cells of the row, ordered by family, qualifier, newest first. It returns the
    cells that pass in the same order, and leaves the list it got unchanged. Threads can't share a filter with a sink.

    Raises:
        ApiError: INVALID_ARGUMENT; the filter breaks a rule of Bigtable.
    """
    validate_filter(message)
    sunk: list[Cell] = []
    passing = _compile(message, sunk)
    if not has_sink(message):
        return passing

    def passing_or_sunk(row_key: bytes, cells: list[Cell]) -> list[Cell]:
        sunk.clear()
        passed = passing(row_key, cells)
        return in_order([*passed, *sunk])

    return passing_or_sunk


def _compile(message: Any, sunk: list[Cell]) -> Filter:
    """Return the filter of a message; its sinks append their cells to `sunk`."""
    kind = message.WhichOneof("filter")
    if kind is None:
        return pass_all
    if kind == "chain":
        return _chain([_compile(each, sunk) for each in message.chain.filters])
    if kind == "interleave":
        return _interleave([_compile(each, sunk) for each in message.interleave.filters])
    if kind == "condition":
        return _condition(message.condition, sunk)
    if kind == "sink":
        return _sink(sunk)
    return SIMPLE_FILTERS[kind](getattr(message, kind))


def _chain(filters: list[Filter]) -> Filter:
    def apply(row_key: bytes, cells: list[Cell]) -> list[Cell]:
        for each in filters:
            if not cells:
                break
            cells = each(row_key, cells)
        return cells

    return apply


def _interleave(filters: list[Filter]) -> Filter:
    return lambda row_key, cells: in_order(list(chain.from_iterable([each(row_key, cells) for each in filters])))


def _condition(message: Any, sunk: list[Cell]) -> Filter:
    predicate = _compile(message.predicate_filter, sunk)
    if_true = _compile(message.true_filter, sunk) if message.HasField("true_filter") else block_all
    if_false = _compile(message.false_filter, sunk) if message.HasField("false_filter") else block_all
    return lambda row_key, cells: (if_true if predicate(row_key, cells) else if_false)(row_key, cells)


def _sink(sunk: list[Cell]) -> Filter:
    def apply(_row_key: bytes, cells: list[Cell]) -> list[Cell]:
        sunk.extend(cells)
        return []

    return apply
