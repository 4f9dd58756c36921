"""The geometry of charts; the templates draw them as SVG. Pure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 720.0, 180.0
_GAP = 0.25  # share of a bar's width


class Bar(NamedTuple):
    """A rectangle with its part on top, in the coordinates of the chart."""

    x: float
    width: float
    y: float
    height: float
    top_y: float
    top_height: float


class Chart(NamedTuple):
    """Bars, the value at the upper edge of the chart, and whether the bars have parts on top."""

    bars: list[Bar]
    maximum: float
    is_stacked: bool


def bar_chart(lower: Sequence[float], upper: Sequence[float] = ()) -> Chart:
    """Return a bar for each value, evenly spaced, with the value of `upper` stacked on it.

    Args:
        lower: values of the bars; negative ones have no bar.
        upper: as many values, or none.
    """
    pairs = [tuple(map(_drawable, pair)) for pair in zip(lower, upper or [0.0] * len(lower), strict=True)]
    maximum = max(map(sum, pairs), default=0.0)
    step, scale = WIDTH / max(len(pairs), 1), HEIGHT / maximum if maximum else 0.0
    bars = []
    for number, (low, high) in enumerate(pairs):
        height, top = round(low * scale, 2), round(high * scale, 2)
        x, width = round((number + _GAP / 2) * step, 2), round(step * (1 - _GAP), 2)
        bars.append(Bar(x, width, round(HEIGHT - height, 2), height, round(HEIGHT - height - top, 2), top))
    return Chart(bars, maximum, bool(upper))


def _drawable(value: float) -> float:
    """Return a value of at least 0 whose sum with another one is finite."""
    return min(max(value, 0.0), sys.float_info.max / 4)
