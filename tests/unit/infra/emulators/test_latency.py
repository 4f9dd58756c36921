"""Latencies are counted in buckets, whose upper bounds are the quantiles."""

from __future__ import annotations

from collections import Counter

import pytest

from infra.emulators.latency import bucket, is_bucket, latency_text, quantile


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (-0.5, "within_1_ms"),
        (0.0, "within_1_ms"),
        (0.001, "within_1_ms"),
        (0.0011, "within_2_ms"),
        (0.05, "within_50_ms"),
        (60.0, "within_60000_ms"),
        (60.1, "within_inf_ms"),
    ],
)
def test_a_latency_belongs_to_the_bucket_of_the_next_bound(seconds: float, name: str) -> None:
    assert bucket(seconds) == name
    assert is_bucket(name)


def test_a_quantile_is_the_bound_that_a_share_of_the_latencies_keeps() -> None:
    counts = Counter(bucket(ms / 1_000) for ms in [3] * 50 + [80] * 45 + [9_000] * 5)
    counts["delivered"] = 1_000_000

    assert [quantile(counts, share) for share in (0.01, 0.5, 0.51, 0.95, 0.96, 1.0)] == [5, 5, 100, 100, 10_000, 10_000]


def test_texts_of_quantiles() -> None:
    assert latency_text({}, 0.5) == "-"
    assert latency_text({bucket(1.5): 1}, 0.5) == "2,000 ms"
    assert latency_text({bucket(1e9): 1}, 0.5) == "over 60,000 ms"
