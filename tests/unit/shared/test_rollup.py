"""A day's figures follow from its events, whoever's they are and in whatever parts they come."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import contract
from shared.contract import Contract
from shared.rollup import DayRollup
from tests.support import MUSIC_CONTRACT, SPARKIFY_CONTRACT
from tests.unit.shared.small import small_contract

Rows = dict[tuple[str, str], dict[str, Any]]


def rolled(small: Contract, *parts: list[dict[str, Any]]) -> Rows:
    rollup = DayRollup(small)
    for part in parts:
        rollup.add([json.dumps(event).encode() for event in part])
    rows = {(dimension, value): figures for dimension, value, figures in rollup.rows()}
    assert rollup.events == sum(map(len, parts))
    return rows


def test_music_of_a_day() -> None:
    ann = [
        {"user_id": "ann", "event_type": "song_play", "song_id": "s1", "duration": 10.5},
        {"user_id": "ann", "event_type": "song_play", "song_id": "s2", "duration": 1},
        {"user_id": "ann", "event_type": "like", "song_id": "s1"},
        {"user_id": "ann", "event_type": "click"},
    ]
    bob = [{"user_id": "bob", "event_type": "song_play", "song_id": "s1", "duration": -1.25}]

    assert rolled(contract.load(MUSIC_CONTRACT), ann, bob) == {
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
def test_a_day_without_events_has_figures_for_the_whole_day_alone(path: Any) -> None:
    ((key, figures),) = rolled(contract.load(path)).items()

    assert key == ("all", "all")
    assert figures["total_events"] == figures["active_users"] == 0
    assert figures["longest_seconds"] is None


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
def test_values_of_a_dimension_are_texts(value: Any, row: str | None) -> None:
    small = small_contract('[fields.x]\ntype = "string"\n[aggregates.x]\nby = "x"\nn = "count"\n')

    assert rolled(small, [{"x": value}]) == ({} if row is None else {("x", row): {"n": 1}})


def test_an_absent_field_is_no_value() -> None:
    small = small_contract('[fields.x]\ntype = "string"\n[aggregates.x]\nby = "x"\nn = "count"\nu = "unique(user)"\n')

    assert rolled(small, [{"user": "ann"}, {"user": "ann", "x": "a"}]) == {("x", "a"): {"n": 1, "u": 1}}


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
def test_where_counts_only_events_that_have_one_of_the_values_of_each_field(where: str, count: int) -> None:
    toml = '[fields.a]\ntype = "string"\n[fields.b]\ntype = "number"\n[fields.c]\ntype = "boolean"\n'
    small = small_contract(f'{toml}[aggregates.day]\nwhere = {where}\nn = "count"\n')
    events = [
        {"a": "x", "b": 1, "c": True},
        {"a": "x", "b": 2.5},
        {"a": "y", "b": 1.0, "c": False},
        {"a": None},
    ]

    assert rolled(small, events) == {("day", "all"): {"n": count}}


def test_names_of_fields_may_be_anything_json_writes_plainly() -> None:
    names = ["f0", "f1", "a b", "\u00e9", "class", "actor.login", "x-y", "id"]
    toml = "".join(f'[fields."{name}"]\ntype = "string"\n' for name in names if name != "id")
    toml += "".join(f'[aggregates."{name}"]\nby = "{name}"\nn = "count"\n' for name in names)

    rows = rolled(small_contract(toml), [{name: f"v {name}" for name in names}])

    assert rows == {(name, f"v {name}"): {"n": 1} for name in names}


def test_a_contract_without_aggregates_still_counts_events() -> None:
    assert rolled(small_contract(), [{"id": "1"}, {"id": "2"}]) == {}


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


@given(events, st.randoms(use_true_random=False))
def test_parts_and_order_make_no_difference(taken: list[dict[str, Any]], chance: random.Random) -> None:
    music = contract.load(MUSIC_CONTRACT)
    shuffled = chance.sample(taken, len(taken))
    cut = chance.randint(0, len(taken))

    assert repr(sorted(rolled(music, shuffled[:cut], shuffled[cut:]).items())) == repr(
        sorted(rolled(music, taken).items())
    )
