"""The growth of an instance's memory: the slope of a straight line through its samples, with a confidence interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_CONFIDENCE = 0.95
_MIN_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth per million events as a share of the mean: the estimate, and the bounds of its interval."""

    estimate: float
    low: float
    high: float


def growth_per_million(events: Sequence[float], memory: Sequence[float]) -> Growth:
    """Return the growth of memory by least squares, with its 95 % confidence interval.

    Args:
        events: number of events before each sample.
        memory: the samples, in any unit.
    """
    if len(events) < _MIN_SAMPLES:
        raise ValueError(f"found {len(events)} samples, expected at least {_MIN_SAMPLES}")
    slope, intercept = statistics.linear_regression(events, memory)
    degrees = len(events) - 2
    residuals = [value - intercept - slope * number for number, value in zip(events, memory, strict=True)]
    mean_events = statistics.fmean(events)
    spread = sum((number - mean_events) ** 2 for number in events)
    error = math.sqrt(sum(residual**2 for residual in residuals) / degrees / spread)
    margin = student_quantile((1 + _CONFIDENCE) / 2, degrees) * error
    scale = 1_000_000 / statistics.fmean(memory)
    return Growth(slope * scale, (slope - margin) * scale, (slope + margin) * scale)


def student_quantile(probability: float, degrees: int) -> float:
    """Return a quantile of Student's t distribution, within 0.002 from six degrees of freedom on.

    The expansion is 26.7.5 of Abramowitz and Stegun, Handbook of Mathematical Functions.
    """
    z = statistics.NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / degrees**power for power, term in enumerate(terms))
