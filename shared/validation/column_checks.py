"""Say of a field's values in many events, all together, that nothing is wrong with them. Pure.

A few calls for a column cost a tenth of some for each value. Only a yes is an answer: where this says no, or can't
tell, the checks look at the values one by one, and they alone say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import NoneType
from typing import Any

from shared.contracts.model import Field
from shared.contracts.patterns import pattern_matcher
from shared.validation.checks import INT64, VALUE_TYPES

# Texts that are known to match a pattern: at most about so many, and none longer, or they would fill the memory.
_MAX_KNOWN_TEXTS, _MAX_KNOWN_CHARS = 16_384, 128

# Takes a field's values, None where there is none, and the times at which the first and the last of their messages were
# published; says whether all are certainly fine.
ColumnCheck = Callable[[Sequence[Any], datetime, datetime], bool]
_Holds = Callable[[Sequence[Any], datetime, datetime], bool]


def column_check(field: Field, *, checked: bool) -> ColumnCheck:
    """Return what judges a field's values; those that aren't `checked` only by whether they have to be there."""
    types, required = VALUE_TYPES[field.type], field.required
    holds = _holds_of(field) if checked else None

    def sure(column: Sequence[Any], first: datetime, last: datetime) -> bool:
        found = set(map(type, column))
        if required and (NoneType in found or (str in found and "" in column)):
            return False
        if holds is None:
            return True
        if not found - {NoneType} <= types:
            return False
        present = [value for value in column if value is not None] if NoneType in found else column
        return not present or holds(present, first, last)

    return sure


def _holds_of(field: Field) -> _Holds:
    """Return what judges values that are there and of the right types."""
    if field.type == "timestamp":
        return _within_times(field)
    if field.type in ("integer", "number"):
        return _within_numbers(field)
    return _within_texts(field)


def _within_times(field: Field) -> _Holds:
    future = None if field.max_future is None else timedelta(microseconds=field.max_future)
    age = None if field.max_age is None else timedelta(microseconds=field.max_age)

    def holds(times: Sequence[datetime], first: datetime, last: datetime) -> bool:
        return (future is None or max(times) - first <= future) and (age is None or last - min(times) <= age)

    return holds


def _within_numbers(field: Field) -> _Holds:
    least = -INT64 if field.minimum is None else max(field.minimum, -INT64)
    most = 2 * INT64 - 1 if field.maximum is None else min(field.maximum, 2 * INT64 - 1)
    allowed = None if field.one_of is None else frozenset(field.one_of)

    def holds(numbers: Sequence[Any], _first: datetime, _last: datetime) -> bool:
        return min(numbers) >= least and max(numbers) <= most and (allowed is None or allowed.issuperset(numbers))

    return holds


def _within_texts(field: Field) -> _Holds:
    least, most = field.min_length or 0, field.max_length
    sized = field.min_length is not None or most is not None
    matches = None if field.pattern is None else _all_match(field.pattern)
    allowed = None if field.one_of is None else frozenset(field.one_of)

    def holds(values: Sequence[Any], _first: datetime, _last: datetime) -> bool:
        if sized:
            sizes = list(map(len, values))
            if min(sizes) < least or (most is not None and max(sizes) > most):
                return False
        return (matches is None or matches(values)) and (allowed is None or allowed.issuperset(values))

    return holds


def _all_match(pattern: str) -> Callable[[Sequence[str]], bool]:
    """Return what says whether texts match; what has a pattern, such as a product or a song, comes again and again."""
    matches = pattern_matcher(pattern)
    known: set[str] = set()

    def all_match(texts: Sequence[str]) -> bool:
        if known.issuperset(texts):
            return True
        new = set(texts) - known
        if not all(map(matches, new)):
            return False
        if len(known) > _MAX_KNOWN_TEXTS:
            known.clear()
        known.update([text for text in new if len(text) <= _MAX_KNOWN_CHARS])
        return True

    return all_match
