"""Check the values of one field in many events together. Pure.

A few calls per column cost a tenth of a check per value. A column check only answers whether all values are certainly
valid. Where it returns False, the checks of `checks.py` examine each value and produce the findings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import NoneType
from typing import Any

from shared.contracts.model import Field
from shared.contracts.patterns import pattern_matcher
from shared.validation.checks import MAX_INTEGER, MIN_INTEGER, VALUE_TYPES

# Limits of the cache of texts that match a pattern; they bound its memory.
_MAX_CACHED_TEXTS, _MAX_CACHED_CHARS = 16_384, 128

# Takes a field's values, None where an event has none, and the earliest and the latest publish time of their messages;
# returns whether all values are certainly valid.
ColumnCheck = Callable[[Sequence[Any], datetime, datetime], bool]


def column_check(field: Field, *, checked: bool) -> ColumnCheck:
    """Return the check of a field's values; without `checked` it only requires that required values are present."""
    types, required = VALUE_TYPES[field.type], field.required
    check_present = _present_values_check(field) if checked else None

    def check(column: Sequence[Any], first: datetime, last: datetime) -> bool:
        found = set(map(type, column))
        if required and (NoneType in found or (str in found and "" in column)):
            return False
        if check_present is None:
            return True
        if not found - {NoneType} <= types:
            return False
        present = [value for value in column if value is not None] if NoneType in found else column
        return not present or check_present(present, first, last)

    return check


def _present_values_check(field: Field) -> ColumnCheck:
    """Return the check of values that aren't None and have the field's type."""
    if field.type == "timestamp":
        return _timestamps_check(field)
    if field.type in ("integer", "number"):
        return _numbers_check(field)
    return _others_check(field)


def _timestamps_check(field: Field) -> ColumnCheck:
    future = None if field.max_future is None else timedelta(microseconds=field.max_future)
    age = None if field.max_age is None else timedelta(microseconds=field.max_age)

    def check(times: Sequence[datetime], first: datetime, last: datetime) -> bool:
        return (future is None or max(times) - first <= future) and (age is None or last - min(times) <= age)

    return check


def _numbers_check(field: Field) -> ColumnCheck:
    minimum = MIN_INTEGER if field.minimum is None else max(field.minimum, MIN_INTEGER)
    maximum = MAX_INTEGER if field.maximum is None else min(field.maximum, MAX_INTEGER)
    allowed = None if field.one_of is None else frozenset(field.one_of)

    def check(numbers: Sequence[Any], _first: datetime, _last: datetime) -> bool:
        in_range = min(numbers) >= minimum and max(numbers) <= maximum
        return in_range and (allowed is None or allowed.issuperset(numbers))

    return check


def _others_check(field: Field) -> ColumnCheck:
    shortest, longest = field.min_length or 0, field.max_length
    has_bounds = field.min_length is not None or longest is not None
    all_match = None if field.pattern is None else _pattern_check(field.pattern)
    allowed = None if field.one_of is None else frozenset(field.one_of)

    def check(values: Sequence[Any], _first: datetime, _last: datetime) -> bool:
        if has_bounds:
            lengths = list(map(len, values))
            if min(lengths) < shortest or (longest is not None and max(lengths) > longest):
                return False
        return (all_match is None or all_match(values)) and (allowed is None or allowed.issuperset(values))

    return check


def _pattern_check(pattern: str) -> Callable[[Sequence[str]], bool]:
    """Return the check that all texts match; it caches matches, because ids of products or songs repeat."""
    matches = pattern_matcher(pattern)
    cached: set[str] = set()

    def check(texts: Sequence[str]) -> bool:
        if cached.issuperset(texts):
            return True
        new = set(texts) - cached
        if not all(map(matches, new)):
            return False
        if len(cached) > _MAX_CACHED_TEXTS:
            cached.clear()
        cached.update([text for text in new if len(text) <= _MAX_CACHED_CHARS])
        return True

    return check
