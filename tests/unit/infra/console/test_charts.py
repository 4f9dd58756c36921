"""Bars stay inside of the chart, whatever the values are."""

from __future__ import annotations

import math
import sys

import pytest

from infra.console.charts import HEIGHT, WIDTH, bar_chart


def test_without_values_there_are_no_bars() -> None:
    assert bar_chart([]) == ([], 0, False)


def test_without_a_positive_value_the_bars_are_flat() -> None:
    assert [(bar.height, bar.top_height) for bar in bar_chart([0, -3]).bars] == [(0, 0), (0, 0)]


def test_the_highest_bar_fills_the_chart() -> None:
    chart = bar_chart([1, 3], [1, 5])

    assert chart.maximum == 8
    assert [(bar.y, bar.height, bar.top_y, bar.top_height) for bar in chart.bars] == [
        (157.5, 22.5, 135, 22.5),
        (112.5, 67.5, 0, 112.5),
    ]


@pytest.mark.parametrize("value", [math.inf, -math.inf, sys.float_info.max, 5e-324, 1e-300])
def test_extreme_values_stay_inside(value: float) -> None:
    for bar in bar_chart([value, 1.0], [value, value]).bars:
        assert all(map(math.isfinite, bar))
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
        assert -0.02 <= bar.top_y <= bar.top_y + bar.top_height <= bar.y + bar.height <= HEIGHT + 0.02
