"""The JSON Schema of received records agrees with the validator."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.contracts.record_schema import record_schema
from shared.contracts.loader import load_contract, parse_contract
from shared.contracts.model import Contract
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.support.samples import MUSIC_CONTRACT, ROOT, SPARKIFY, SPARKIFY_CONTRACT, music_event, sparkify_records

NOW = datetime(2024, 1, 16, tzinfo=UTC)
EVERYTHING = ROOT / "tests" / "fuzz" / "everything.toml"
HUB = ROOT / "docs" / "snippets" / "hub.toml"


def one_field(**keys: Any) -> Contract:
    """Return a contract with the field `x` beside those of the cell key."""
    return parse_contract(
        {
            "version": 1,
            "name": "test",
            "event": {"id": "id", "user": "user", "time": "time"},
            "fields": {
                "id": {"type": "string"},
                "user": {"type": "string"},
                "time": {"type": "timestamp"},
                "x": keys,
            },
        },
        "test.toml",
    )


def is_valid(contract: Contract, record: dict[str, Any], *, strict: bool = False) -> bool:
    return bool(jsonschema_rs.Draft202012Validator(record_schema(contract, strict=strict)).is_valid(record))


def is_accepted(contract: Contract, record: dict[str, Any]) -> bool:
    return isinstance(Validator(contract).validate(json.dumps(record).encode(), NOW), Accepted)


@pytest.mark.parametrize("path", [MUSIC_CONTRACT, SPARKIFY_CONTRACT, HUB, EVERYTHING], ids=lambda path: path.name)
@pytest.mark.parametrize("strict", [False, True])
def test_the_schema_of_a_contract_is_a_schema(path: Any, strict: bool) -> None:
    schema = record_schema(load_contract(path), strict=strict)

    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_play_is_valid_for_its_producer() -> None:
    music = load_contract(MUSIC_CONTRACT)

    assert is_valid(music, music_event())
    assert not is_valid(music, music_event(userId=...))
    assert not is_valid(music, music_event(songId="no blanks"))
    assert not is_valid(music, music_event(timestamp="15/01/2024"))


@pytest.mark.skipif(not SPARKIFY.exists(), reason="needs the real log")
def test_real_records_are_valid_exactly_if_they_are_accepted() -> None:
    contract = load_contract(SPARKIFY_CONTRACT)
    valid, validator = jsonschema_rs.Draft202012Validator(record_schema(contract)).is_valid, Validator(contract)
    records = sparkify_records()
    verdicts = validator.validate_all([json.dumps(record).encode() for record in records], NOW)

    assert [valid(record) for record in records] == [isinstance(verdict, Accepted) for verdict in verdicts]


@pytest.mark.parametrize(
    ("keys", "record", "expected"),
    [
        ({"type": "string", "required": True}, {}, False),
        ({"type": "string", "required": True}, {"x": ""}, False),
        ({"type": "string"}, {"x": ""}, True),
        ({"type": "string"}, {"x": None}, True),
        ({"type": "string", "required": True}, {"x": None}, False),
        ({"type": "string", "max_length": 2}, {"x": "äöü"}, False),
        ({"type": "string", "max_length": 3}, {"x": "ä🎵ü"}, True),
        ({"type": "string", "one_of": ["a", "b"]}, {"x": "c"}, False),
        ({"type": "string", "one_of": ["a", "b"]}, {"x": None}, True),
        ({"type": "string", "pattern": "[a-z]+"}, {"x": "abc1"}, False),
        ({"type": "string", "pattern": "a|bc"}, {"x": "xbc"}, False),
        ({"type": "integer"}, {"x": 3.0}, True),
        ({"type": "integer"}, {"x": 3.5}, False),
        ({"type": "integer"}, {"x": True}, False),
        ({"type": "integer", "min": 1, "max": 5}, {"x": 6}, False),
        ({"type": "number", "min": 0.5}, {"x": 0.25}, False),
        ({"type": "boolean"}, {"x": 1}, False),
        ({"type": "array", "max_length": 1}, {"x": [1, 2]}, False),
        ({"type": "object", "min_length": 1}, {"x": {}}, False),
        ({"type": "timestamp", "unit": "ms"}, {"x": "1705314600000"}, False),
        ({"type": "timestamp", "unit": "ms"}, {"x": 1705314600000}, True),
        ({"type": "timestamp"}, {"x": "2024-01-15 10:30:00"}, True),
        ({"type": "timestamp"}, {"x": "2024-01-15T10:30"}, False),
        ({"type": "string", "from": "a.b", "required": True}, {"a": "text"}, False),
        ({"type": "string", "from": "a.b", "required": True}, {"a": {"b": "text"}}, True),
        ({"type": "string", "from": "a.b"}, {"a": "text"}, True),
    ],
)
def test_a_rule_is_in_the_schema(keys: dict[str, Any], record: dict[str, Any], expected: bool) -> None:
    contract = one_field(**keys)
    record = {"id": "1", "user": "u", "time": "2024-01-15T10:30:00Z", **record}

    assert (is_valid(contract, record), is_accepted(contract, record)) == (expected, expected)


@pytest.mark.parametrize(("user", "expected"), [({}, True), ({"user": None}, True), ({"user": ""}, False)])
def test_a_user_with_a_default_can_be_absent(user: dict[str, Any], expected: bool) -> None:
    fields = {"id": {"type": "string"}, "user": {"type": "string", "default": "x"}, "time": {"type": "timestamp"}}
    document = {"version": 1, "name": "test", "event": {"id": "id", "user": "user", "time": "time"}, "fields": fields}
    contract = parse_contract(document, "test.toml")
    record = {"id": "1", "time": "2024-01-15T10:30:00Z", **user}

    assert (is_valid(contract, record), is_accepted(contract, record)) == (expected, expected)


@pytest.mark.parametrize("record", [{"y": 1}, {"a": {"c": 1}}, {"a": "text"}, {"a": None}])
def test_unknown_fields_are_invalid_if_the_contract_rejects_them(record: dict[str, Any]) -> None:
    contract = one_field(type="string", **{"from": "a.b"})
    record = {"id": "1", "user": "u", "time": "2024-01-15T10:30:00Z", **record}
    closed = replace(contract, unknown_fields="reject")

    assert (is_valid(contract, record), is_accepted(contract, record)) == (True, True)
    assert (is_valid(closed, record), is_accepted(closed, record)) == (False, False)


def test_a_warning_is_invalid_in_the_strict_schema_only() -> None:
    contract = one_field(type="number", min=0, severity="warn")
    record = {"id": "1", "user": "u", "time": "2024-01-15T10:30:00Z", "x": -1}

    assert is_valid(contract, record)
    assert not is_valid(contract, record, strict=True)


def test_a_schema_describes_what_it_cannot_express() -> None:
    contract = one_field(type="string", trim=True, case="lower", one_of=["a"], severity="warn", **{"from": "X"})

    assert record_schema(contract)["properties"]["X"]["description"] == (
        "stored as x; trimmed; in lower case; one of a; a value that breaks a rule is stored with a finding"
    )


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "a", "b", "A1", "song_play", "2024-01-15T10:30:00Z", "2024-01-15 10:30:00+01:00", "15/01/2024"]
    ),
    st.text(max_size=6),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2))


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a field's table, with rules that JSON Schema can express."""
    kind = draw(st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "timestamp"]))
    keys: dict[str, Any] = {"type": kind, "required": draw(st.booleans())}
    if kind in ("string", "array", "object") and draw(st.booleans()):
        keys["min_length"], keys["max_length"] = sorted(draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
    if kind in ("integer", "number") and draw(st.booleans()):
        keys["min"], keys["max"] = sorted(draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9))))
    if kind == "string" and draw(st.booleans()):
        keys |= draw(st.sampled_from([{"one_of": ["a", "song_play"]}, {"pattern": "[a-z_]*"}, {"pattern": "a|A\\d"}]))
    if draw(st.booleans()):
        keys["from"] = draw(st.sampled_from(["a.b", "y", "a.b.c"]))
    return keys


@given(rules(), st.sampled_from(["keep", "drop", "reject"]), st.data())
def test_an_event_is_accepted_exactly_if_it_is_valid(keys: dict[str, Any], unknown: Any, data: st.DataObject) -> None:
    contract = replace(one_field(**keys), unknown_fields=unknown)
    path = contract.field("x").path
    value: Any = data.draw(VALUES)
    for key in reversed(path):
        value = data.draw(st.one_of(st.just({key: value}), st.just({key: value}), VALUES)) if key != path[0] else value
    record = {"id": "1", "user": "u", "time": "2024-01-15T10:30:00Z"}
    record |= (
        {path[0]: value} if data.draw(st.booleans()) else data.draw(st.dictionaries(st.sampled_from("axy"), VALUES))
    )

    # A valid record may still be no time, or a number that 64 bits can't hold.
    if is_accepted(contract, record):
        assert is_valid(contract, record)
    elif keys["type"] != "timestamp" and not _has_large_number(record):
        assert not is_valid(contract, record)


def _has_large_number(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_large_number, value.values()))
    if isinstance(value, list):
        return any(map(_has_large_number, value))
    return type(value) in (int, float) and abs(value) >= 2**63


VALID = {
    "type": "play",
    "n": 1,
    "meta": {"tag": "t"},
    "actor": {"id": 7},
    "at": 1705314600000000,
}
OTHER_PATHS = ["s", "ms", "w", "b", "r", "x", "l", "f", "u", "a", "o"]
EVERYTHING_VALIDATOR = Validator(load_contract(EVERYTHING))
EVERYTHING_IS_VALID = jsonschema_rs.Draft202012Validator(record_schema(load_contract(EVERYTHING))).is_valid


@given(st.dictionaries(st.sampled_from(OTHER_PATHS), VALUES, max_size=3))
def test_an_accepted_event_is_valid_for_all_kinds_of_fields(others: dict[str, Any]) -> None:
    record = {**VALID, **others}

    if isinstance(EVERYTHING_VALIDATOR.validate(json.dumps(record).encode(), NOW), Accepted):
        assert EVERYTHING_IS_VALID(record)
