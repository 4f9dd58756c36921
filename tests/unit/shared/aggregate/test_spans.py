"""Measures of days merge to those of a plain reading of all their events."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.aggregate.accumulators import MAX_STORED_DISTINCT
from shared.aggregate.rollup import DayRollup
from shared.aggregate.spans import merge, mergeable_functions
from shared.contracts.model import Contract
from shared.tables.aggregates import MergeableDay
from tests.support.small_messages import small_contract

CONTRACT = small_contract(
    """
    [fields.x]
    type = "string"
    [fields.n]
    type = "number"
    [aggregates.all]
    count = "count"
    users = "unique(user)"
    things = "unique(x)"
    sum = "sum(n)"
    low = "min(n)"
    high = "max(n)"
    mean = "mean(n)"
    [aggregates.user]
    by = "user"
    things = "unique(x)"
    sum = "sum(n)"
    mean = "mean(n)"
    [aggregates.plain]
    mergeable = false
    things = "unique(x)"
    high = "max(n)"
    """
)
FIRST = date(2024, 1, 1)

numbers = st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.just(0.1)
events = st.fixed_dictionaries(
    {"user": st.sampled_from(["ann", "bob"]), "x": st.text(max_size=2) | st.none(), "n": numbers}
)


def measures_of(contract: Contract, taken: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Return the measures and the states of events by dimension and value, as a table has them."""
    rollup = DayRollup(contract.user, contract.aggregates)
    by_user = sorted(taken, key=itemgetter("user"))
    counts = [len(list(group)) for _, group in groupby(by_user, key=itemgetter("user"))]
    data = b",".join(json.dumps(event).encode() for event in by_user)
    found = [*rollup.measure(data, counts), *rollup.finish()]
    stored = msgspec.json.decode(msgspec.json.encode(found))
    return {(dimension, value): (measures, states) for dimension, value, measures, states in stored}


def days_of(contract: Contract, dimension: str, value: str, *days: list[dict[str, Any]]) -> list[MergeableDay]:
    functions = mergeable_functions(contract.aggregates).get(dimension, {})
    return [
        MergeableDay(FIRST + timedelta(days=number), *found[dimension, value], functions)
        for number, each in enumerate(days)
        if (dimension, value) in (found := measures_of(contract, each))
    ]


@given(st.lists(st.lists(events, max_size=5), min_size=1, max_size=4))
@example(
    [[{"user": "ann", "x": "a", "n": 0.1}], [{"user": "ann", "x": "a", "n": 0.2}, {"user": "ann", "x": None, "n": 1}]]
)
@example([[{"user": "ann", "x": "", "n": 1.7e308}] * 2, [{"user": "ann", "x": "", "n": -1.7e308}]])
def test_merged_days_equal_a_reading_of_all_events(days: list[list[dict[str, Any]]]) -> None:
    whole = measures_of(CONTRACT, [event for each in days for event in each])

    for dimension, value in [("all", "all"), ("user", "ann")]:
        merged, unmerged = merge(days_of(CONTRACT, dimension, value, *days))
        assert merged == whole.get((dimension, value), ({},))[0]
        assert unmerged == {}


@pytest.mark.slow
def test_many_distinct_values_are_estimated_within_the_stated_error() -> None:
    chance = random.Random(20240101)
    names = [f"user-{number}" for number in range(40_000)]
    days = [[{"user": user, "x": None, "n": None} for user in chance.sample(names, 3_000)] for _ in range(31)]
    expected = len({event["user"] for each in days for event in each})

    merged, _ = merge(days_of(CONTRACT, "all", "all", *days))

    assert 0.01 < merged["users_error"] < 0.02
    assert abs(merged["users"] - expected) <= merged["users_error"] * expected
    assert merged["count"] == 31 * 3_000


def test_a_day_with_few_values_is_exact_and_its_state_small() -> None:
    few = [{"user": f"user-{number}", "x": None, "n": None} for number in range(MAX_STORED_DISTINCT)]
    many = [*few, {"user": "one more", "x": None, "n": None}]

    exact, estimated = (measures_of(CONTRACT, each)["all", "all"][1]["users"] for each in (few, many))

    assert exact == sorted(event["user"] for event in few)
    assert isinstance(estimated, str)
    assert len(estimated) < 20_000
    assert "users_error" not in merge(days_of(CONTRACT, "all", "all", few, few[:5]))[0]


def test_measures_without_state_are_named_with_the_day() -> None:
    one = [{"user": "ann", "x": "a", "n": 0.5}]

    merged, unmerged = merge(days_of(CONTRACT, "plain", "all", one, one))

    assert merged == {}
    expected = "2024-01-0{}: found no mergeable state, expected a run that keeps it; compute the day again"
    assert unmerged == {"things": expected.format(1), "high": expected.format(1)}


@pytest.mark.parametrize(
    ("day", "text"),
    [
        ({"functions": {}}, "2024-01-02: found no mergeable state, expected unique"),
        ({"functions": {"users": "mean"}}, "2024-01-02: found mean, expected unique"),
        ({"states": {}}, "2024-01-02: found NoneType, expected the distinct values or a sketch"),
        ({"states": {"users": "no sketch"}}, "2024-01-02: found no sketch: "),
        ({"states": {"users": 5}}, "2024-01-02: found int, expected the distinct values or a sketch"),
    ],
)
def test_a_day_that_does_not_merge_is_named(day: dict[str, Any], text: str) -> None:
    one = [{"user": "ann", "x": "a", "n": 0.5}]
    first, second = days_of(CONTRACT, "all", "all", one, one)
    second = second._replace(**day)

    merged, unmerged = merge([first, second])

    assert unmerged["users"].startswith(text)
    assert "users" not in merged


@pytest.mark.parametrize("state", [None, "x", ["a"], [1.5], {}, [True]])
def test_a_mean_is_restored_only_from_its_state(state: Any) -> None:
    one = [{"user": "ann", "x": "a", "n": 0.5}]
    (day,) = days_of(CONTRACT, "user", "ann", one)

    _, unmerged = merge([day._replace(states={**day.states, "mean": state})])

    assert list(unmerged) == ["mean"]
