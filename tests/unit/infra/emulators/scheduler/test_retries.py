"""When a failed attempt is made again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infra.emulators.scheduler.retries import Retries

FIRST = datetime(2024, 1, 1, 1, tzinfo=UTC)


def retries(
    *, count: int = 5, longest: float = 0, pauses: tuple[float, float] = (10, 300), doublings: int = 3
) -> Retries:
    return Retries(count, timedelta(seconds=longest), *(timedelta(seconds=each) for each in pauses), doublings)


@pytest.mark.parametrize(
    ("given", "pauses"),
    [
        (retries(), [10, 20, 40, 80, 160, 240, 300, 300]),  # the example of the API's reference
        (retries(doublings=1, pauses=(5, 3600)), [5, 10, 20, 30, 40]),
        (retries(doublings=16, pauses=(5, 3600)), [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]),
        (retries(pauses=(300, 300)), [300, 300]),
        (Retries(), [5, 10, 20, 40, 80, 160, 320, 480]),
    ],
)
def test_pauses(given: Retries, pauses: list[float]) -> None:
    assert [given.pause(retry).total_seconds() for retry in range(1, len(pauses) + 1)] == pauses


def test_pauses_of_the_distant_future_are_the_longest() -> None:
    assert retries(doublings=2**31 - 1).pause(2**31) == timedelta(seconds=300)


def again(given: Retries, retry: int, *, after: float = 0, next_firing: float | None = None) -> float | None:
    """Return the seconds after the first attempt at which it is made again."""
    following = None if next_firing is None else FIRST + timedelta(seconds=next_firing)
    due = given.again(retry, FIRST, FIRST + timedelta(seconds=after), following)
    return None if due is None else (due - FIRST).total_seconds()


@pytest.mark.parametrize(
    ("given", "retry", "after", "due"),
    [
        (retries(count=0), 1, 0, None),
        (retries(count=0, longest=600), 1, 0, None),
        (retries(count=1), 1, 0, 10),
        (retries(count=1), 2, 10, None),
        (retries(count=5), 5, 150, 310),
        (retries(count=5), 6, 310, None),
        (retries(count=1, longest=100), 2, 10, 30),  # until both limits are reached
        (retries(count=1, longest=100), 4, 70, None),
        (retries(count=5, longest=20), 3, 30, 70),
    ],
)
def test_when_to_try_again(given: Retries, retry: int, after: float, due: float | None) -> None:
    assert again(given, retry, after=after) == due


def test_the_next_firing_ends_the_retries_of_the_one_before() -> None:
    assert again(retries(), 1, next_firing=11) == 10
    assert again(retries(), 1, next_firing=10) is None
