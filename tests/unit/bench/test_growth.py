"""The growth of memory: noise doesn't reach the target of the benchmark, and a leak of a twentieth does."""

from __future__ import annotations

import random

import pytest

from tests.bench.growth import growth_per_million, student_quantile
from tests.bench.results import most

EVENTS = range(100_000, 1_000_001, 10_000)
TARGET = most(0.02)  # of row 9
LEVEL, NOISE = 90.0, 1.0  # MiB


def samples(seed: int, *, leak: float = 0.0, noise: float = NOISE) -> list[float]:
    dice = random.Random(seed)
    return [LEVEL * (1 + leak * number / 1e6) + dice.gauss(0, noise) for number in EVENTS]


def test_a_noisy_level_meets_the_target_also_where_the_slope_alone_exceeds_it() -> None:
    found = [growth_per_million(EVENTS, samples(seed, noise=3 * NOISE)) for seed in range(500)]

    assert [growth for growth in found if not TARGET.met(growth.low)] == []
    assert [growth for growth in found if not TARGET.met(growth.estimate)]


def test_a_leak_of_a_twentieth_per_million_events_misses_the_target() -> None:
    leaking = (samples(seed, leak=0.05) for seed in range(500))

    assert [each for each in leaking if TARGET.met(growth_per_million(EVENTS, each).low)] == []


def test_one_step_of_the_allocator_meets_the_target() -> None:
    dice = random.Random(1)
    stepped = [LEVEL + (number > 500_000) + dice.gauss(0, NOISE / 4) for number in EVENTS]

    assert TARGET.met(growth_per_million(EVENTS, stepped).low)


def test_a_straight_line_has_no_interval() -> None:
    growth = growth_per_million(EVENTS, [100 + 10 * (number - 550_000) / 1e6 for number in EVENTS])

    assert (growth.low, growth.estimate, growth.high) == pytest.approx((0.1, 0.1, 0.1))


def test_the_interval_holds_the_true_growth_in_about_95_of_100_series() -> None:
    found = [growth_per_million(EVENTS, samples(seed)) for seed in range(1_000)]

    assert 0.93 < sum(growth.low <= 0 <= growth.high for growth in found) / len(found) < 0.97


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(6, 2.4469), (10, 2.2281), (17, 2.1098), (89, 1.9870), (1_000, 1.9623)]
)
def test_the_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert student_quantile(0.975, degrees) == pytest.approx(quantile, abs=2e-3)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="found 7 samples, expected at least 8"):
        growth_per_million(range(7), [1.0] * 7)
