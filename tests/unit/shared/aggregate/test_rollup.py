"""The measures of a day depend only on its events, not on their order or batches."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.aggregate.rollup import ACCUMULATORS, DayRollup, ValueMeasures
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from tests.support.samples import MUSIC_CONTRACT, SPARKIFY_CONTRACT
from tests.support.small_messages import small_contract

Rows = dict[tuple[str, str], dict[str, Any]]


def rollup_of(small: Contract, *users: list[dict[str, Any]], batched: list[Any] | None = None) -> Rows:
    """Return the measures of the users' events by dimension and value."""
    rollup = DayRollup(small.user, small.aggregates)
    found: list[ValueMeasures] = []
    for batch in batched or [[each] for each in users]:
        data = b",".join(json.dumps(event).encode() for events in batch for event in events)
        found += rollup.measure(data, list(map(len, batch)))
    found += rollup.finish()
    rows = {(dimension, value): measures for dimension, value, measures, _ in found}
    assert len(rows) == len(found)
    return rows


def test_measures_of_a_day_under_the_music_contract() -> None:
    ann = [
        {"user_id": "ann", "event_type": "song_play", "song_id": "s1", "duration": 10.5},
        {"user_id": "ann", "event_type": "song_play", "song_id": "s2", "duration": 1},
        {"user_id": "ann", "event_type": "like", "song_id": "s1"},
        {"user_id": "ann", "event_type": "click"},
    ]
    bob = [{"user_id": "bob", "event_type": "song_play", "song_id": "s1", "duration": -1.25}]

    assert rollup_of(load_contract(MUSIC_CONTRACT), ann, bob) == {
        ("user", "ann"): {"total_events": 4, "unique_songs": 2, "listening_seconds": 11.5},
        ("user", "bob"): {"total_events": 1, "unique_songs": 1, "listening_seconds": -1.25},
        ("song", "s1"): {"plays": 2, "unique_users": 2, "mean_seconds": 4.625},
        ("song", "s2"): {"plays": 1, "unique_users": 1, "mean_seconds": 1.0},
        ("event_type", "song_play"): {"total_events": 3, "unique_users": 2},
        ("event_type", "like"): {"total_events": 1, "unique_users": 1},
        ("event_type", "click"): {"total_events": 1, "unique_users": 1},
        ("all", "all"): {
            "total_events": 5,
            "active_users": 2,
            "unique_songs": 2,
            "listening_seconds": 10.25,
            "longest_seconds": 10.5,
        },
    }


@pytest.mark.parametrize("path", [MUSIC_CONTRACT, SPARKIFY_CONTRACT])
def test_a_day_without_events_has_only_measures_of_the_whole_day(path: Any) -> None:
    ((key, measures),) = rollup_of(load_contract(path)).items()

    assert key == ("all", "all")
    assert measures["total_events"] == measures["active_users"] == 0
    assert measures["longest_seconds"] is None


@pytest.mark.parametrize(
    ("value", "row"),
    [
        ("a", "a"),
        ("", ""),
        ("5", "5"),
        (5, "5"),
        (-5, "-5"),
        (True, "true"),
        (False, "false"),
        (None, None),
        (1.5, None),
        ([1], None),
        ({"a": 1}, None),
    ],
)
def test_values_of_a_dimension_are_strings(value: Any, row: str | None) -> None:
    small = small_contract('[fields.x]\ntype = "string"\n[aggregates.x]\nby = "x"\nn = "count"\n')

    assert rollup_of(small, [{"x": value}]) == ({} if row is None else {("x", row): {"n": 1}})


def test_an_event_without_the_field_counts_for_no_value() -> None:
    small = small_contract('[fields.x]\ntype = "string"\n[aggregates.x]\nby = "x"\nn = "count"\nu = "unique(user)"\n')

    assert rollup_of(small, [{"user": "ann"}, {"user": "ann", "x": "a"}]) == {("x", "a"): {"n": 1, "u": 1}}


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ('{ a = "x" }', 2),
        ('{ a = ["x", "y"] }', 3),
        ('{ a = "x", b = 1 }', 1),
        ("{ b = [1, 2.5] }", 3),
        ('{ a = "z" }', 0),
        ("{ c = true }", 1),
        ("{}", 4),
    ],
)
def test_where_counts_events_with_a_listed_value_in_each_field(where: str, count: int) -> None:
    toml = '[fields.a]\ntype = "string"\n[fields.b]\ntype = "number"\n[fields.c]\ntype = "boolean"\n'
    small = small_contract(f'{toml}[aggregates.day]\nwhere = {where}\nn = "count"\n')
    events = [
        {"a": "x", "b": 1, "c": True},
        {"a": "x", "b": 2.5},
        {"a": "y", "b": 1.0, "c": False},
        {"a": None},
    ]

    assert rollup_of(small, events) == {("day", "all"): {"n": count}}


def test_fields_may_have_any_name_that_json_writes_without_escapes() -> None:
    names = ["f0", "f1", "a b", "\u00e9", "class", "actor.login", "x-y", "id"]
    toml = "".join(f'[fields."{name}"]\ntype = "string"\n' for name in names if name != "id")
    toml += "".join(f'[aggregates."{name}"]\nby = "{name}"\nn = "count"\n' for name in names)

    rows = rollup_of(small_contract(toml), [{name: f"v {name}" for name in names}])

    assert rows == {(name, f"v {name}"): {"n": 1} for name in names}


def test_a_contract_without_aggregates_has_no_rows() -> None:
    assert rollup_of(small_contract(), [{"id": "1"}, {"id": "2"}]) == {}


events = st.lists(
    st.fixed_dictionaries(
        {"user_id": st.sampled_from("ab"), "event_type": st.sampled_from(["song_play", "like"])},
        optional={
            "song_id": st.sampled_from(["s1", "s2", None]),
            "duration": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1),
        },
    ),
    max_size=12,
)


@given(st.lists(events, max_size=4), st.integers(1, 4), st.randoms(use_true_random=False))
@pytest.mark.slow
def test_measures_are_independent_of_order_and_batching(
    events_by_user: list[list[dict[str, Any]]], batch_users: int, chance: random.Random
) -> None:
    music = load_contract(MUSIC_CONTRACT)
    users = [
        [{**event, "user_id": f"u{number}"} for event in each] for number, each in enumerate(events_by_user) if each
    ]
    shuffled = [chance.sample(each, len(each)) for each in chance.sample(users, len(users))]
    batched = [shuffled[start : start + batch_users] for start in range(0, len(shuffled), batch_users)]

    found = rollup_of(music, *users, batched=batched)

    assert repr(sorted(found.items())) == repr(sorted(rollup_of(music, *users).items()))


def test_measures_by_user_are_final_with_their_batch() -> None:
    music = load_contract(MUSIC_CONTRACT)
    rollup = DayRollup(music.user, music.aggregates)
    event = {"event_type": "click", "song_id": "s"}
    ann, bob = (json.dumps({**event, "user_id": user}).encode() for user in ("ann", "bob"))

    found = rollup.measure(b",".join([ann, bob, bob]), [1, 2])

    assert found == [
        ("user", "ann", {"total_events": 1, "unique_songs": 1, "listening_seconds": 0}, {"unique_songs": ["s"]}),
        ("user", "bob", {"total_events": 2, "unique_songs": 1, "listening_seconds": 0}, {"unique_songs": ["s"]}),
    ]
    assert {each.dimension for each in rollup.finish()} == {"event_type", "all"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("a", {("mine", "ann"): {"n": 2}, ("mine", "bob"): {"n": 1}}), ("b", {("mine", "ann"): {"n": 1}})],
)
def test_a_dimension_by_user_counts_only_matching_events(wanted: str, found: Rows) -> None:
    toml = f'[fields.x]\ntype = "string"\n[aggregates.mine]\nby = "user"\nwhere = {{ x = "{wanted}" }}\nn = "count"\n'
    ann = [{"user": "ann", "x": x} for x in "aba"]
    bob = [{"user": "bob", "x": "a"}]

    assert rollup_of(small_contract(toml), ann, bob) == found


@pytest.mark.parametrize("function", sorted(ACCUMULATORS))
def test_a_new_accumulator_is_empty(function: str) -> None:
    one = ACCUMULATORS[function]()
    one.add([1, 2])

    assert ACCUMULATORS[function]().result() in (0, None)


def test_accumulators_of_several_rollups_merge_into_the_measures_of_all_events() -> None:
    music = load_contract(MUSIC_CONTRACT)
    dice = random.Random(5)
    events = [
        {
            "user_id": f"user-{number % 7}",
            "event_type": dice.choice(["song_play", "like"]),
            "song_id": dice.choice(["s1", "s2", None]),
            "duration": dice.choice([dice.random(), 1e300, -1e300, 7, None]),
        }
        for number in range(300)
    ]
    merged: dict[tuple[str, str], list[Any]] = {}
    rollup = DayRollup(music.user, music.aggregates)
    for start in range(0, 300, 50):
        rollup.measure(b",".join(json.dumps(each).encode() for each in events[start : start + 50]), [50])
        for dimension, value, accumulators in rollup.take():
            earlier = merged.setdefault((dimension, value), [])
            for index, accumulator in enumerate(accumulators):
                if len(earlier) == index:
                    earlier.append(accumulator)
                else:
                    earlier[index].merge(accumulator)
    found = [rollup.results(*key, accumulators) for key, accumulators in merged.items()]
    whole = DayRollup(music.user, music.aggregates)
    whole.measure(b",".join(json.dumps(each).encode() for each in events), [300])

    assert sorted(found) == sorted(whole.finish())
    assert [(dimension, value) for dimension, value, _ in rollup.take()] == [("all", "all")]
