"""Measures are what contracts write."""

from __future__ import annotations

import pytest

from shared.measures import Measure
from shared.numbers import Max, Mean, Min, Sum
from shared.parts import Count, Unique

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
def test_measures_as_contracts_write_them(text: str, function: str, field: str | None) -> None:
    assert Measure.parse("name", text) == Measure("name", function, field)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "count()", "count(x)", "sum", "sum()", "median(x)", "sum(x", "sum((x))"])
def test_what_is_no_measure(text: str) -> None:
    assert Measure.parse("name", text) is None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_measure_makes_parts_that_have_taken_in_nothing(function: str) -> None:
    measure = Measure.parse("name", "count" if function == "count" else f"{function}(x)")
    assert measure is not None

    one = measure.part()
    one.add([1, 2])

    assert type(one) is FUNCTIONS[function]
    assert measure.part().result() in (0, None)
