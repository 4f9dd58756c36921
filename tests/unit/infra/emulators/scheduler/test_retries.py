"""Backoff and limits of retries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infra.emulators.scheduler.retries import Retries

FIRST = datetime(2024, 1, 1, 1, tzinfo=UTC)


def retries(
    *, count: int = 5, duration: float = 0, backoff: tuple[float, float] = (10, 300), doublings: int = 3
) -> Retries:
    return Retries(count, timedelta(seconds=duration), *(timedelta(seconds=each) for each in backoff), doublings)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (retries(), [10, 20, 40, 80, 160, 240, 300, 300]),  # the example of the API's reference
        (retries(doublings=1, backoff=(5, 3600)), [5, 10, 20, 30, 40]),
        (retries(doublings=16, backoff=(5, 3600)), [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]),
        (retries(backoff=(300, 300)), [300, 300]),
        (Retries(), [5, 10, 20, 40, 80, 160, 320, 480]),
    ],
)
def test_backoff_grows_as_in_the_api_reference(config: Retries, expected: list[float]) -> None:
    assert [config.backoff(retry).total_seconds() for retry in range(1, len(expected) + 1)] == expected


def test_the_backoff_of_a_very_late_retry_is_the_maximum() -> None:
    assert retries(doublings=2**31 - 1).backoff(2**31) == timedelta(seconds=300)


def next_attempt(config: Retries, retry: int, *, after: float = 0, next_firing: float | None = None) -> float | None:
    """Return the time of the next attempt in seconds after the first one."""
    following = None if next_firing is None else FIRST + timedelta(seconds=next_firing)
    due = config.next_attempt(retry, FIRST, FIRST + timedelta(seconds=after), following)
    return None if due is None else (due - FIRST).total_seconds()


@pytest.mark.parametrize(
    ("config", "retry", "after", "due"),
    [
        (retries(count=0), 1, 0, None),
        (retries(count=0, duration=600), 1, 0, None),
        (retries(count=1), 1, 0, 10),
        (retries(count=1), 2, 10, None),
        (retries(count=5), 5, 150, 310),
        (retries(count=5), 6, 310, None),
        (retries(count=1, duration=100), 2, 10, 30),  # retries end when both limits are reached
        (retries(count=1, duration=100), 4, 70, None),
        (retries(count=5, duration=20), 3, 30, 70),
    ],
)
def test_retries_end_when_count_and_duration_are_exhausted(
    config: Retries, retry: int, after: float, due: float | None
) -> None:
    assert next_attempt(config, retry, after=after) == due


def test_no_retry_happens_at_or_after_the_next_firing() -> None:
    assert next_attempt(retries(), 1, next_firing=11) == 10
    assert next_attempt(retries(), 1, next_firing=10) is None
