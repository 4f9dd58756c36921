"""`Transform` makes canonical events with the contract's names, types and defaults."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.loader import load_contract
from shared.validation.transform import Transform
from tests.support.samples import MUSIC_CONTRACT
from tests.support.small_messages import json_values, small_contract, small_event

TEN = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)


def transformed(toml: str, **record: Any) -> dict[str, Any]:
    """Return the fields of the canonical event other than id, user and time."""
    event, _ = Transform(small_contract(toml))(small_event(**record))
    assert (event.pop("id"), event.pop("user"), event.pop("time")) == ("1", "ann", TEN)
    return event


@pytest.mark.parametrize(
    ("definition", "value", "shaped"),
    [
        ('type = "string"', " Click ", " Click "),
        ('type = "string"\ntrim = true', " \t Cl ick\u00a0\n", "Cl ick"),
        ('type = "string"\ncase = "lower"', " Click ", " click "),
        ('type = "string"\ncase = "upper"', "stra\u00dfe", "STRASSE"),
        ('type = "string"\ntrim = true\ncase = "lower"', " CLICK ", "click"),
        ('type = "string"\ntrim = true', 5, 5),
        ('type = "string"\ncase = "upper"', ["a"], ["a"]),
        ('type = "string"\ntrim = true', "  ", ""),
        ('type = "integer"', 3, 3),
        ('type = "integer"', 3.0, 3),
        ('type = "integer"', -0.0, 0),
        ('type = "integer"', 1e22, 10**22),
        ('type = "integer"', 3.5, 3.5),
        ('type = "integer"', "3", "3"),
        ('type = "integer"', True, True),
        ('type = "number"', 3.0, 3.0),
        ('type = "number"', 3, 3),
        ('type = "boolean"', False, False),
        ('type = "timestamp"', "2024-01-15T11:00:00+01:00", TEN),
        ('type = "timestamp"', "soon", "soon"),
        ('type = "timestamp"\nunit = "s"', 1_705_312_800, TEN),
        ('type = "timestamp"\nformat = "%d/%m/%Y %H:%M"', "15/01/2024 10:00", TEN),
        ('type = "object"', {"a": {"b": 1}}, {"a": {"b": 1}}),
        ('type = "array"', [1, None], [1, None]),
    ],
)
def test_values_are_transformed_by_their_type_or_stay_unchanged(definition: str, value: Any, shaped: Any) -> None:
    event = transformed(f"[fields.x]\n{definition}\n", x=value)

    assert event == {"x": shaped}
    assert type(event["x"]) is type(shaped)


@pytest.mark.parametrize(
    ("definition", "record", "event"),
    [
        ("", {"x": "a"}, {"x": "a"}),
        ("", {"x": None}, {}),  # an empty cell of a CSV file and an absent key make the same event
        ("", {}, {}),
        ("", {"x": ""}, {"x": ""}),
        ("required = true", {"x": None}, {"x": None}),
        ("required = true", {}, {}),
        ('default = "d"', {}, {"x": "d"}),
        ('default = "d"', {"x": None}, {"x": "d"}),
        ('default = "d"', {"x": ""}, {"x": ""}),
        ('default = "d"', {"x": "a"}, {"x": "a"}),
    ],
)
def test_null_and_absent_values_and_defaults(definition: str, record: dict[str, Any], event: dict[str, Any]) -> None:
    assert transformed(f'[fields.x]\ntype = "string"\n{definition}\n', **record) == event


def test_falsy_defaults_are_used() -> None:
    toml = '[fields.a]\ntype = "boolean"\ndefault = false\n[fields.b]\ntype = "integer"\ndefault = 0\n'

    assert transformed(toml) == {"a": False, "b": 0}


@pytest.mark.parametrize("absent", [..., None])
def test_a_user_can_have_a_default(absent: Any) -> None:
    small = small_contract('default = "nobody"', fields=FIELDS_USER_LAST)

    event, _ = Transform(small)(small_event(user=absent))

    assert event["user"] == "nobody"


FIELDS_USER_LAST = """
[fields.id]
type = "string"
[fields.time]
type = "timestamp"
[fields.user]
type = "string"
"""


@pytest.mark.parametrize(
    ("record", "event"),
    [
        ({"actor": {"login": "ann"}}, {"login": "ann"}),
        ({"actor": {"login": "ann", "id": 5}}, {"login": "ann", "actor": {"id": 5}}),
        ({"actor": {"at": {"city": "Ulm"}}}, {"city": "Ulm"}),
        ({"actor": {"at": {"city": "Ulm", "zip": 1}}}, {"city": "Ulm", "actor": {"at": {"zip": 1}}}),
        ({"actor": {"login": "ann", "at": {"city": "Ulm"}}}, {"login": "ann", "city": "Ulm"}),
        ({"actor": {"login": {"a": 1}}}, {"login": {"a": 1}}),
        ({"actor": {}}, {"actor": {}}),
        ({"actor": None}, {"actor": None}),
        ({"actor": "ann"}, {"actor": "ann"}),
        ({"actor": [{"login": "ann"}]}, {"actor": [{"login": "ann"}]}),
        ({"actor": {"at": "Ulm"}}, {"actor": {"at": "Ulm"}}),
        ({"actor": {"login": None}}, {}),
        ({"actor.login": "ann"}, {"actor.login": "ann"}),  # a key that contains a dot isn't a path
        ({}, {}),
    ],
)
def test_dotted_paths_take_values_out_of_objects(record: dict[str, Any], event: dict[str, Any]) -> None:
    toml = '[fields.login]\ntype = "string"\nfrom = "actor.login"\n'
    toml += '[fields.city]\ntype = "string"\nfrom = "actor.at.city"\n'
    before = copy.deepcopy(record)

    assert transformed(toml, **record) == event
    assert record == before  # the record isn't changed


def test_a_record_nested_deeper_than_the_recursion_limit_is_transformed() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}

    assert transformed('[fields.x]\ntype = "string"\nfrom = "deep.x"\n', deep=deep)["deep"] is not None


@pytest.mark.parametrize(
    ("policy", "kept", "reported"),
    [("keep", {"b": 2}, ()), ("drop", {}, ()), ("reject", {}, ("b", "a"))],
)
def test_unknown_fields_are_kept_dropped_or_reported(
    policy: str, kept: dict[str, Any], reported: tuple[str, ...]
) -> None:
    # given a field that is taken from another key, and a record that also has a key with the field's name
    toml = f'[fields.a]\ntype = "integer"\nfrom = "A"\n[checks]\nunknown_fields = "{policy}"\n'

    event, unknown = Transform(small_contract(toml))(small_event(A=1, b=2, a="not the real one"))

    assert event == {"id": "1", "user": "ann", "time": TEN, "a": 1, **kept}
    assert unknown == reported


def test_an_unknown_field_with_the_name_of_a_field_is_left_out() -> None:
    assert transformed('[fields.a]\ntype = "integer"\nfrom = "A"\n', a="not the real one") == {}


@given(st.dictionaries(st.sampled_from(["userId", "timestamp", "event_id", "duration", "x", "songId"]), json_values))
def test_the_transform_never_raises_or_changes_the_record(record: dict[str, Any]) -> None:
    before = copy.deepcopy(record)

    event, unknown = Transform(load_contract(MUSIC_CONTRACT))(record)

    assert repr(record) == repr(before)
    assert unknown == ()
    assert ("user_id" in event) == ("userId" in record)


paths = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)
trees = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.recursive(json_values, lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner), max_leaves=6),
)


@given(trees, paths, paths)
def test_values_are_taken_out_of_any_nested_record(record: dict[str, Any], one: list[str], other: list[str]) -> None:
    toml = f'[fields.x]\ntype = "number"\nfrom = "{".".join(one)}"\n'
    if one[: len(other)] != other and other[: len(one)] != one:
        toml += f'[fields.y]\ntype = "number"\nfrom = "{".".join(other)}"\n'
    before = copy.deepcopy(record)

    event, _ = Transform(small_contract(toml))(record)

    value: Any = record
    for key in one:
        value = value.get(key) if isinstance(value, dict) else None
    assert repr(event.get("x")) == repr(value)
    assert repr(record) == repr(before)


def test_the_transform_of_a_canonical_event_is_the_same_event() -> None:
    music = load_contract(MUSIC_CONTRACT)
    raw = {"userId": "a", "timestamp": "2024-01-15T10:00:00Z", "event_id": "1", "event_type": " CLICK ", "extra": 1}
    event, _ = Transform(music)(raw)

    again, _ = Transform(music.of_canonical_events())({**event, "timestamp": event["timestamp"].isoformat()})

    assert again == event
