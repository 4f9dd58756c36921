"""Latencies as counts: the buckets of a histogram, which are added and subtracted like other counts."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping

_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000, math.inf)  # ms, inclusive
_NAMES = tuple(f"within_{bound}_ms" for bound in _BOUNDS)


def bucket(seconds: float) -> str:
    """Return the name of the count that a latency belongs to."""
    return _NAMES[bisect_left(_BOUNDS, seconds * 1_000)]


def is_bucket(name: str) -> bool:
    """Return whether a count is one of `bucket`."""
    return name in _NAMES


def quantile(counts: Mapping[str, int], share: float) -> float | None:
    """Return the upper bound, in milliseconds, of a share of the latencies; None without any.

    Args:
        counts: by the names of `bucket`; other names are ignored.
        share: above 0 and up to 1.
    """
    within = [counts.get(name, 0) for name in _NAMES]
    reached, wanted = 0, share * sum(within)
    for bound, count in zip(_BOUNDS, within, strict=True):
        reached += count
        if reached and reached >= wanted:
            return bound
    return None


def latency_text(counts: Mapping[str, int], share: float) -> str:
    """Return the bound of `quantile` as text, "-" without any latency."""
    bound = quantile(counts, share)
    if bound is None:
        return "-"
    return f"{bound:,} ms" if math.isfinite(bound) else f"over {_BOUNDS[-2]:,} ms"
