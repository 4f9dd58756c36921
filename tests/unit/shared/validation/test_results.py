"""A finding quotes values as short, printable text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given

from shared.validation.results import MAX_QUOTED_CHARS, Finding, quote, rules_broken
from tests.support.small_messages import json_values


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("click", '"click"'),
        ("", '""'),
        ('a "b"', '"a \\"b\\""'),
        ("\u00e9\n\x1b[31m", '"\\u00e9\\n\\u001b[31m"'),
        ("\ud800", '"\\ud800"'),
        (5, "5"),
        (-1.5, "-1.5"),
        (True, "true"),
        (None, "null"),
        ({"a": 1, "b": 2}, "an object of 2"),
        ([1, [2]], "an array of 2"),
        (datetime(2024, 1, 15, tzinfo=UTC), "2024-01-15T00:00:00+00:00"),
        ("a" * 78, '"' + "a" * 78 + '"'),
        ("a" * 79, '"' + "a" * 76 + "..."),
        ("a" * 1_000_000, '"' + "a" * 76 + "..."),
        (10**100, "1" + "0" * 76 + "..."),
    ],
)
def test_values_are_quoted_as_short_json(value: Any, shown: str) -> None:
    assert quote(value) == shown


@given(json_values)
def test_quotes_are_short_and_printable(value: Any) -> None:
    shown = quote(value)

    assert len(shown) <= MAX_QUOTED_CHARS
    assert shown.isascii()
    assert shown.isprintable()


def test_only_rejecting_findings_break_rules() -> None:
    findings = [
        Finding("type", "a", "5", "string"),
        Finding("type", "b", "5", "string"),
        Finding("range", "c", "5", "at most 1", "warn"),
    ]

    assert rules_broken(findings) == {"type"}


def test_a_finding_is_stored_as_json_without_defaults() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Finding("type", "a", "5", "string"))) == {
        "rule": "type",
        "field": "a",
        "found": "5",
        "expected": "string",
    }
    warned = Finding("type", "a", "5", "string", "warn")
    assert msgspec.json.decode(msgspec.json.encode(warned), type=Finding) == warned
