"""Changes of measures are exact for whole numbers, marked for estimates, and "-" without two numbers."""

from __future__ import annotations

from typing import Any

import pytest

from infra.console.comparison import change_text, value_text


@pytest.mark.parametrize(
    ("value", "before", "expected"),
    [
        (12, 10, "+2 (+20.0%)"),
        (10, 12, "-2 (-16.7%)"),
        (10, 10, "0 (+0.0%)"),
        (1_234_567, 1, "+1,234,566 (+123,456,600.0%)"),
        (2.5, 2, "+0.50 (+25.0%)"),
        (1, -2, "+3 (+150.0%)"),
        (5, 0, "+5"),
        (0, 0, "0"),
        (2**63 + 1, 2**63, "+1 (+0.0%)"),
        pytest.param(10**400, 1, "+inf", id="beyond-a-float"),
        (float("inf"), float("inf"), "-"),
    ],
)
def test_a_change_is_absolute_and_in_percent(value: Any, before: Any, expected: str) -> None:
    assert change_text("n", {"n": value}, {"n": before}) == expected


@pytest.mark.parametrize("other", [{}, {"n": None}, {"n": "5"}, {"n": True}, {"n": [1]}, {"m": 5}])
def test_without_a_number_on_both_days_there_is_no_change(other: dict[str, Any]) -> None:
    assert change_text("n", {"n": 5}, other) == "-"
    assert change_text("n", other, {"n": 5}) == "-"


@pytest.mark.parametrize(
    ("errors", "marked"), [(({}, {}), False), (({"n_error": 0.01}, {}), True), (({}, {"n_error": 0.01}), True)]
)
def test_the_change_of_an_estimate_is_marked(errors: tuple[dict[str, float], dict[str, float]], marked: bool) -> None:
    text = change_text("n", {"n": 70_000, **errors[0]}, {"n": 35_000, **errors[1]})

    assert text == ("≈ " if marked else "") + "+35,000 (+100.0%)"


def test_an_estimate_has_its_relative_error() -> None:
    assert value_text("n", {"n": 70_000, "n_error": 0.0081}) == "70,000 ± 0.81%"
    assert value_text("n", {"n": 70_000, "m_error": 0.0081}) == "70,000"
    assert value_text("n", {}) == "-"
