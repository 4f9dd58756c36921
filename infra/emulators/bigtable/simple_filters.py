"""Row filters that contain no other filter."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from infra.emulators.bigtable.cells import Cell, make_cell
from infra.emulators.bigtable.patterns import compile_pattern, literal
from infra.emulators.errors import invalid

Filter = Callable[[bytes, list[Cell]], list[Cell]]

_LABEL = re.compile(r"[a-z0-9\-]{1,15}")
_CACHED_COLUMNS = 1_024  # matches of a pattern that are remembered, as rows repeat their columns


def pass_all(_row_key: bytes, cells: list[Cell]) -> list[Cell]:
    """Pass all cells."""
    return cells


def block_all(_row_key: bytes, _cells: list[Cell]) -> list[Cell]:
    """Pass no cell."""
    return []


def _row_key_regex(pattern: bytes) -> Filter:
    if not pattern:
        raise invalid("row_key_regex_filter: found an empty pattern, expected another, as no row key is empty")
    match = compile_pattern("row_key_regex_filter", pattern)
    return lambda row_key, cells: cells if match(row_key) else []


def _row_sample(probability: float) -> Filter:
    if not 0 < probability < 1:
        raise invalid(f"row_sample_filter: found {probability}, expected more than 0 and less than 1")
    draw = random.random
    return lambda _row_key, cells: cells if draw() < probability else []


def _family_name_regex(pattern: str) -> Filter:
    if ":" in pattern:
        raise invalid(f"family_name_regex_filter: found {pattern!r}, expected a pattern without a colon")
    if literal(pattern.encode()) is not None:
        return lambda _row_key, cells: [cell for cell in cells if cell[0] == pattern]
    match = compile_pattern("family_name_regex_filter", pattern.encode())
    match_name = lru_cache(maxsize=_CACHED_COLUMNS)(lambda name: match(name.encode()))
    return lambda _row_key, cells: [cell for cell in cells if match_name(cell[0])]


def _column_qualifier_regex(pattern: bytes) -> Filter:
    if literal(pattern) is not None:
        return lambda _row_key, cells: [cell for cell in cells if cell[1] == pattern]
    match = lru_cache(maxsize=_CACHED_COLUMNS)(compile_pattern("column_qualifier_regex_filter", pattern))
    return lambda _row_key, cells: [cell for cell in cells if match(cell[1])]


def _value_regex(pattern: bytes) -> Filter:
    if literal(pattern) is not None:
        return lambda _row_key, cells: [cell for cell in cells if cell[3] == pattern]
    match = compile_pattern("value_regex_filter", pattern)
    return lambda _row_key, cells: [cell for cell in cells if match(cell[3])]


def _column_range(message: Any) -> Filter:
    family = message.family_name
    start, end = half_open(message, "qualifier")
    if end is None:
        return lambda _row_key, cells: [cell for cell in cells if cell[0] == family and start <= cell[1]]
    return lambda _row_key, cells: [cell for cell in cells if cell[0] == family and start <= cell[1] < end]


def _value_range(message: Any) -> Filter:
    start, end = half_open(message, "value")
    if end is None:
        return lambda _row_key, cells: [cell for cell in cells if start <= cell[3]]
    return lambda _row_key, cells: [cell for cell in cells if start <= cell[3] < end]


def half_open(message: Any, name: str) -> tuple[bytes, bytes | None]:
    """Return the bounds of a `ColumnRange` or `ValueRange`, start inclusive, end exclusive, None without an end."""
    start_kind, end_kind = message.WhichOneof(f"start_{name}"), message.WhichOneof(f"end_{name}")
    start: bytes = getattr(message, start_kind) if start_kind else b""
    if start_kind == f"start_{name}_open":
        start += b"\0"  # the next larger bytes
    if end_kind is None:
        return start, None
    end: bytes = getattr(message, end_kind)
    return start, end + b"\0" if end_kind == f"end_{name}_closed" else end


def _timestamp_range(message: Any) -> Filter:
    """Return the filter of a range of microseconds; the service takes bounds that are no whole milliseconds.

    Source: https://github.com/googleapis/google-cloud-go/pull/9414
    """
    start, end = message.start_timestamp_micros, message.end_timestamp_micros
    if end == 0:
        return lambda _row_key, cells: [cell for cell in cells if start <= cell[2]]
    return lambda _row_key, cells: [cell for cell in cells if start <= cell[2] < end]


def _value_bitmask(message: Any) -> Filter:
    if not message.mask:
        raise invalid("value_bitmask_filter: found an empty mask, expected one as long as the values")
    length, mask = len(message.mask), int.from_bytes(message.mask, "big")
    number = int.from_bytes
    return lambda _row_key, cells: [
        cell for cell in cells if len(cell[3]) == length and number(cell[3], "big") & mask == mask
    ]


def _cells_per_row_offset(count: int) -> Filter:
    _require_at_least(0, "cells_per_row_offset_filter", count)
    return lambda _row_key, cells: cells[count:]


def _cells_per_row_limit(count: int) -> Filter:
    _require_at_least(1, "cells_per_row_limit_filter", count)
    return lambda _row_key, cells: cells[:count]


def _cells_per_column_limit(count: int) -> Filter:
    _require_at_least(1, "cells_per_column_limit_filter", count)

    def apply(_row_key: bytes, cells: list[Cell]) -> list[Cell]:
        # The cells of a column are neighbours. So one is beyond the limit if the cell `count` before has its column.
        pairs = zip(cells, cells[count:], strict=False)
        later = [cell for before, cell in pairs if before[1] != cell[1] or before[0] != cell[0]]
        return cells[:count] + later

    return apply


def _require_at_least(minimum: int, field: str, count: int) -> None:
    if count < minimum:
        raise invalid(f"{field}: found {count}, expected {minimum} or more")


def _strip_value(_flag: bool) -> Filter:
    return lambda _row_key, cells: [
        make_cell((family, qualifier, timestamp, b"", labels)) for family, qualifier, timestamp, _, labels in cells
    ]


def _apply_label(label: str) -> Filter:
    if not _LABEL.fullmatch(label):
        raise invalid(f"apply_label_transformer: found {label!r}, expected 1 to 15 of the characters a-z, 0-9 and -")
    labels = (label,)
    return lambda _row_key, cells: [
        make_cell((family, qualifier, timestamp, value, labels)) for family, qualifier, timestamp, value, _ in cells
    ]


# A field of `google.bigtable.v2.RowFilter`, and the function that makes a filter of its value.
SIMPLE_FILTERS: dict[str, Callable[[Any], Filter]] = {
    "pass_all_filter": lambda _flag: pass_all,
    "block_all_filter": lambda _flag: block_all,
    "row_key_regex_filter": _row_key_regex,
    "row_sample_filter": _row_sample,
    "family_name_regex_filter": _family_name_regex,
    "column_qualifier_regex_filter": _column_qualifier_regex,
    "column_range_filter": _column_range,
    "timestamp_range_filter": _timestamp_range,
    "value_regex_filter": _value_regex,
    "value_range_filter": _value_range,
    "value_bitmask_filter": _value_bitmask,
    "cells_per_row_offset_filter": _cells_per_row_offset,
    "cells_per_row_limit_filter": _cells_per_row_limit,
    "cells_per_column_limit_filter": _cells_per_column_limit,
    "strip_value_transformer": _strip_value,
    "apply_label_transformer": _apply_label,
}
