"""Measures are parsed from the text of a contract."""

from __future__ import annotations

import pytest

from shared.aggregate.accumulators import Count, Unique
from shared.aggregate.numeric_accumulators import Max, Mean, Min, Sum
from shared.contracts.model import Measure

FUNCTIONS = {"count": Count, "unique": Unique, "sum": Sum, "min": Min, "max": Max, "mean": Mean}


@pytest.mark.parametrize(
    ("text", "function", "field"),
    [
        ("count", "count", None),
        (" count ", "count", None),
        ("unique(song_id)", "unique", "song_id"),
        ("sum( duration )", "sum", "duration"),
        (" mean (a b) ", "mean", "a b"),
        ("min(a.b)", "min", "a.b"),
        ("max(x)", "max", "x"),
    ],
)
def test_measures_are_parsed(text: str, function: str, field: str | None) -> None:
    assert Measure.parse("name", text) == Measure("name", function, field)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "count()", "count(x)", "sum", "sum()", "median(x)", "sum(x", "sum((x))"])
def test_invalid_measures_are_not_parsed(text: str) -> None:
    assert Measure.parse("name", text) is None
