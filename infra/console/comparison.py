"""The change of a measure since an earlier day, as text. Pure."""

from __future__ import annotations

import math

from infra.console.text import as_float, is_number, measure_text
from shared.tables.aggregates import Measures


def change_text(name: str, measures: Measures, earlier: Measures) -> str:
    """Return the change of a measure, absolute and in percent, such as "+12 (+4.5%)"; "-" where a day has no number.

    A text that begins with "≈" is the change of an estimate. An earlier value of zero has no percentage.
    """
    value, before = measures.get(name), earlier.get(name)
    if not is_number(value) or not is_number(before):
        return "-"
    are_whole = isinstance(value, int) and isinstance(before, int)
    change = value - before if are_whole else as_float(value) - as_float(before)
    if math.isnan(as_float(change)):  # both are infinite
        return "-"
    sign = "+" if change > 0 else "-" if change < 0 else ""
    text = f"{sign}{measure_text(abs(change))}"
    share = as_float(change) / abs(as_float(before)) if before else math.inf
    if math.isfinite(share):
        text += f" ({share:+,.1%})"
    return f"≈ {text}" if _is_estimate(name, measures) or _is_estimate(name, earlier) else text


def value_text(name: str, measures: Measures) -> str:
    """Return the text of a measure, with its relative error where it is an estimate."""
    text = measure_text(measures.get(name))
    return f"{text} ± {as_float(measures[_error(name)]):.2%}" if _is_estimate(name, measures) else text


def _is_estimate(name: str, measures: Measures) -> bool:
    return _error(name) in measures


def _error(name: str) -> str:
    return f"{name}_error"
