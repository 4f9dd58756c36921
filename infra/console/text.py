"""Texts of stored bytes and of measures, shortened for a page."""

from __future__ import annotations

from typing import Any, TypeGuard

_LONGEST = 2_000  # bytes
_LONGEST_MEASURE = 80  # characters
_PRECISE = 1e15  # smaller numbers are written in full


def shown(data: bytes, longest: int = _LONGEST) -> str:
    """Return bytes as text; what isn't UTF-8 as codes, and only the beginning of more than `longest` bytes."""
    text = data[:longest].decode("utf-8", "backslashreplace")
    return f"{text} ... and {len(data) - longest:,} more bytes" if len(data) > longest else text


def measure_text(value: Any) -> str:
    """Return a measure as text: numbers with separators, other JSON values shortened, and "-" for none."""
    if value is None:
        return "-"
    if not is_number(value):
        return str(value)[:_LONGEST_MEASURE]
    number = as_float(value)
    if abs(number) >= _PRECISE:
        return f"{number:.6g}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_float(value: Any) -> float:
    """Return a number for a chart: infinity beyond the range of a float, and 0 for other values."""
    if not is_number(value):
        return 0.0
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
