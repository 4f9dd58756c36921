"""Columns that can influence the result of a row filter, so that others need not be read."""

from __future__ import annotations

from typing import Any, NamedTuple

from infra.emulators.bigtable.patterns import literal
from infra.emulators.bigtable.simple_filters import half_open


class ColumnBounds(NamedTuple):
    """A range of columns.

    Attributes:
        family: the only family; None for all.
        start: the smallest qualifier.
        end: the end of the qualifiers, exclusive; None without an end. No column is in bounds if it is not above start.
    """

    family: str | None = None
    start: bytes = b""
    end: bytes | None = None


# Filters that decide on each cell alone, or on the whole row by its key. They commute with bounds on the columns.
_INDEPENDENT = {
    None,
    "pass_all_filter",
    "block_all_filter",
    "row_key_regex_filter",
    "row_sample_filter",
    "family_name_regex_filter",
    "column_qualifier_regex_filter",
    "column_range_filter",
    "timestamp_range_filter",
    "value_regex_filter",
    "value_range_filter",
    "value_bitmask_filter",
    "strip_value_transformer",
    "apply_label_transformer",
}


def column_bounds(message: Any) -> ColumnBounds:
    """Return bounds of a valid `google.bigtable.v2.RowFilter`: cells outside change nothing in its result.

    The bounds come from the filter itself or from the first filters of a chain, up to one that counts or merges cells.
    """
    kind = message.WhichOneof("filter")
    if kind == "chain":
        bounds = ColumnBounds()
        for each in message.chain.filters:
            bounds = _intersection(bounds, column_bounds(each))
            if each.WhichOneof("filter") not in _INDEPENDENT:
                break
        return bounds
    if kind == "column_range_filter":
        columns = message.column_range_filter
        return ColumnBounds(columns.family_name, *half_open(columns, "qualifier"))
    if kind == "family_name_regex_filter" and literal(message.family_name_regex_filter.encode()) is not None:
        return ColumnBounds(message.family_name_regex_filter)
    if kind == "column_qualifier_regex_filter" and literal(message.column_qualifier_regex_filter) is not None:
        qualifier = message.column_qualifier_regex_filter
        return ColumnBounds(None, qualifier, qualifier + b"\0")
    return ColumnBounds()


def are_exact(message: Any) -> bool:
    """Return whether the bounds of a valid filter are its result: cells inside pass unchanged, and no others do."""
    kind = message.WhichOneof("filter")
    if kind == "family_name_regex_filter":
        return literal(message.family_name_regex_filter.encode()) is not None
    if kind == "column_qualifier_regex_filter":
        return literal(message.column_qualifier_regex_filter) is not None
    return bool(kind == "column_range_filter")


def _intersection(one: ColumnBounds, other: ColumnBounds) -> ColumnBounds:
    families = {one.family, other.family} - {None}
    if len(families) > 1:
        return ColumnBounds(one.family, b"", b"")
    ends = [end for end in (one.end, other.end) if end is not None]
    return ColumnBounds(next(iter(families), None), max(one.start, other.start), min(ends, default=None))
