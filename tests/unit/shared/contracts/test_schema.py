"""The keys of a field are checked against its type, each other and their formats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.patterns import compile_pattern, pattern_problem
from shared.contracts.schema import FieldTable
from shared.toml_tables import Problem, read_table


def problem_text(**keys: Any) -> str:
    with pytest.raises(Problem) as caught:
        FieldTable(**keys).check("fields.x")
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "types"),
    [
        ("trim", True, ["string"]),
        ("case", "lower", ["string"]),
        ("pattern", "a", ["string"]),
        ("min_length", 0, ["string", "array", "object"]),
        ("max_length", 5, ["string", "array", "object"]),
        ("min", 0, ["integer", "number"]),
        ("max", 0.0, ["integer", "number"]),
        ("unit", "s", ["timestamp"]),
        ("format", "%Y-%m-%d", ["timestamp"]),
        ("max_future", "5m", ["timestamp"]),
        ("max_age", "5m", ["timestamp"]),
    ],
)
@pytest.mark.parametrize("type", ["string", "integer", "number", "boolean", "timestamp", "object", "array"])
def test_keys_apply_to_certain_types_only(type: Any, key: str, value: Any, types: list[str]) -> None:
    if type in types:
        FieldTable(type=type, **{key: value}).check("fields.x")
    else:
        assert problem_text(type=type, **{key: value}) == (
            f"fields.x.{key}: found {value!r}, expected no {key} for type {type}; {key} applies to {', '.join(types)}"
        )


@pytest.mark.parametrize("type", ["timestamp", "object", "array"])
def test_one_of_applies_to_scalar_types_only(type: Any) -> None:
    assert problem_text(type=type, one_of=["a"]).startswith("fields.x.one_of: found ['a'], expected no one_of for type")


def test_trim_can_be_false_for_any_type() -> None:
    FieldTable(type="integer", trim=False).check("fields.x")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"type": "timestamp", "unit": "s", "format": "%Y-%m-%d"},
            "unit: found 's', expected either unit or format, not both",
        ),
        (
            {"type": "string", "required": True, "default": ""},
            "default: found '', expected no default for a required field",
        ),
        ({"type": "string", "default": 5}, "default: found 5, expected a value of type string"),
        ({"type": "integer", "default": 5.5}, "default: found 5.5, expected a value of type integer"),
        ({"type": "integer", "default": True}, "default: found True, expected a value of type integer"),
        ({"type": "number", "default": "5"}, "default: found '5', expected a value of type number"),
        ({"type": "boolean", "default": 1}, "default: found 1, expected a value of type boolean"),
        ({"type": "object", "default": []}, "default: found [], expected a value of type object"),
        ({"type": "array", "default": {}}, "default: found {}, expected a value of type array"),
        ({"type": "timestamp", "default": "now"}, "default: found 'now', expected a value of type timestamp"),
        ({"type": "string", "one_of": []}, "one_of: found [], expected at least one allowed value"),
        ({"type": "string", "one_of": ["a", 5]}, "one_of: found 5, expected values of type string"),
        ({"type": "integer", "one_of": [1, True]}, "one_of: found True, expected values of type integer"),
        (
            {"type": "string", "case": "lower", "one_of": ["a", "B"]},
            "one_of: found 'B', expected values in lower case, like the field",
        ),
        (
            {"type": "string", "case": "upper", "one_of": ["a"]},
            "one_of: found 'a', expected values in upper case, like the field",
        ),
        ({"type": "string", "one_of": ["a"], "default": "b"}, "default: found 'b', expected one of ['a']"),
        (
            {"type": "integer", "default": 5, "max": 4},
            "default: found 5, expected a value within the field's bounds",
        ),
        (
            {"type": "number", "default": 0, "min": 0.5},
            "default: found 0, expected a value within the field's bounds",
        ),
        (
            {"type": "string", "default": "a", "min_length": 2},
            "default: found 'a', expected a value within the field's",
        ),
        ({"type": "array", "default": [1, 2], "max_length": 1}, "default: found [1, 2], expected a value within the"),
        (
            {"type": "string", "default": " a", "trim": True},
            "default: found ' a', expected 'a', the default after the field's transform",
        ),
        (
            {"type": "string", "default": "A", "case": "lower"},
            "default: found 'A', expected 'a', the default after the field's transform",
        ),
        (
            {"type": "string", "default": "a", "case": "upper"},
            "default: found 'a', expected 'A', the default after the field's transform",
        ),
        (
            {"type": "string", "default": "a1", "pattern": "[a-z]"},
            "default: found 'a1', expected text that matches the pattern [a-z]",
        ),
        ({"type": "string", "min_length": -1}, "min_length: found -1, expected 0 or more"),
        ({"type": "string", "max_length": -5}, "max_length: found -5, expected 0 or more"),
        (
            {"type": "string", "min_length": 3, "max_length": 2},
            "min_length: found 3, expected at most max_length, which is 2",
        ),
        ({"type": "number", "min": 1, "max": 0.5}, "min: found 1, expected at most max, which is 0.5"),
        ({"type": "number", "min": float("nan")}, "min: found 'nan', expected a number"),
        ({"type": "number", "min": 1, "max": float("nan")}, "max: found 'nan', expected a number"),
        (
            {"type": "string", "pattern": "("},
            "pattern: found '(', expected a regular expression in RE2's syntax (missing ): ()",
        ),
        (
            {"type": "string", "pattern": "(?=a)"},
            "pattern: found '(?=a)', expected a regular expression in RE2's syntax (invalid perl operator: (?=)",
        ),
        (
            {"type": "timestamp", "format": "%d/%m"},
            "format: found '%d/%m', expected a strptime format with year, month and day",
        ),
        (
            {"type": "timestamp", "format": "%Y-%m"},
            "format: found '%Y-%m', expected a strptime format with year, month and day",
        ),
        (
            {"type": "timestamp", "format": "%H:%M"},
            "format: found '%H:%M', expected a strptime format with year, month and day",
        ),
        (
            {"type": "timestamp", "format": "%Y-%m-%d %"},
            "format: found '%Y-%m-%d %', expected a strptime format (stray %",
        ),
        ({"type": "timestamp", "format": "%Y-%m-%d %E"}, "format: found '%Y-%m-%d %E', expected a strptime format ("),
        ({"type": "timestamp", "format": "%Y-%m-%d %Y"}, "format: found '%Y-%m-%d %Y', expected a strptime format ("),
        (
            {"type": "timestamp", "max_future": "5"},
            'max_future: found \'5\', expected a number with ms, s, m, h or d, such as "5m" or "400d"',
        ),
        ({"type": "timestamp", "max_age": "-5d"}, "max_age: found '-5d', expected a number with ms, s, m, h or d"),
        ({"type": "timestamp", "max_age": "5 d"}, "max_age: found '5 d', expected a number with"),
        ({"type": "timestamp", "max_age": "1234567890d"}, "max_age: found '1234567890d', expected a number with"),
    ],
)
def test_inconsistent_keys_are_refused(keys: dict[str, Any], message: str) -> None:
    assert problem_text(**keys).startswith("fields.x." + message)


@pytest.mark.parametrize(
    "keys",
    [
        {"type": "string", "default": ""},
        {"type": "integer", "default": 0, "min": 0, "max": 0},
        {"type": "number", "default": 5, "one_of": [5, 5.5]},
        {"type": "boolean", "default": False, "one_of": [False]},
        {"type": "object", "default": {}, "min_length": 0},
        {"type": "array", "default": [], "max_length": 0},
        {"type": "string", "case": "upper", "one_of": ["A1"], "default": "A1"},
        {"type": "string", "min_length": 2, "max_length": 2, "default": "ab", "pattern": "[a-z]+", "trim": True},
        {"type": "integer", "min": 1, "max": 3, "default": 3},
        {"type": "timestamp", "format": "%y%j"},
        {"type": "timestamp", "format": "%G-W%V-%u"},
        {"type": "timestamp", "format": "%a, %d %b %Y %H:%M:%S %z"},
        {"type": "timestamp", "unit": "us", "max_future": "0ms", "max_age": "999999999d"},
    ],
)
def test_consistent_keys_are_accepted(keys: dict[str, Any]) -> None:
    FieldTable(**keys).check("fields.x")


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0ms", 0),
        ("500ms", 500_000),
        ("30s", 30_000_000),
        ("5m", 300_000_000),
        ("1h", 3_600_000_000),
        ("400d", 34_560_000_000_000),
        (None, None),
    ],
)
def test_durations_are_read_as_microseconds(text: str | None, micros: int | None) -> None:
    assert FieldTable(type="timestamp", max_age=text).duration("max_age", "fields.x") == micros


@pytest.mark.parametrize("pattern", ["[a-z]+", "(?i)a", "\\d{1,3}", "\\p{Lu}.*", "", "a\0b", "\u00e9"])
def test_patterns_that_re2_takes(pattern: str) -> None:
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[a", "missing ]: [a"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("(a)\\1", "invalid escape sequence: \\1"),
        ("((a{100}){100}){100}", "invalid repetition size: {100}"),
        ("\ud800", "surrogates not allowed"),
        ("[a-q]{1000}" * 90, "pattern too large for a set"),
    ],
)
def test_patterns_that_re2_refuses(pattern: str, reason: str) -> None:
    assert reason in str(pattern_problem(pattern))


def test_patterns_take_time_linear_in_the_text() -> None:
    # a backtracking engine would take 2**50 steps
    assert compile_pattern("(a|aa)+$").fullmatch("a" * 50 + "b") is None


@given(st.text(max_size=10))
def test_any_pattern_compiles_or_has_a_reason(pattern: str) -> None:
    assert pattern_problem(pattern) != ""


def test_a_value_other_than_a_table_is_refused() -> None:
    with pytest.raises(Problem, match=r"fields\.x: found 5, expected a table \[fields\.x\]"):
        read_table(FieldTable, 5, "fields.x")
