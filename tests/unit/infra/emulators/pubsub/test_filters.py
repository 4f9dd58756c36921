"""The filter language."""

from __future__ import annotations

import pytest

from infra.emulators.errors import ApiError
from infra.emulators.pubsub.resources.filters import parse_filter


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("attributes:a", [{"a": ""}, {"a": "x", "b": "y"}], [{}, {"b": "a"}]),
        ('attributes.a = "b"', [{"a": "b"}], [{"a": "B"}, {"a": ""}, {}]),
        ('attributes.a != "b"', [{"a": "c"}, {}], [{"a": "b"}]),
        ('hasPrefix(attributes.a, "co")', [{"a": "com"}, {"a": "co"}], [{"a": "c"}, {}]),
        ('hasPrefix(attributes.a, "")', [{"a": ""}], [{}]),
        ("NOT attributes:a", [{}], [{"a": ""}]),
        ("-attributes:a", [{}], [{"a": ""}]),
        ("-(attributes:a OR attributes:b)", [{}], [{"a": ""}, {"b": ""}]),
        ("attributes:a AND attributes:b", [{"a": "", "b": ""}], [{"a": ""}, {"b": ""}]),
        ("attributes:a OR attributes:b OR attributes:c", [{"a": ""}, {"c": ""}], [{"d": ""}]),
        ("attributes:a AND NOT (attributes:b OR attributes:c)", [{"a": ""}], [{"a": "", "c": ""}, {}]),
        ('attributes:"a b"', [{"a b": ""}], [{"a": ""}]),
        (r'attributes."\"" = "\x41\u00e4\102\\"', [{'"': "AäB\\"}], [{}]),
        ('attributes.NOT="a"', [{"NOT": "a"}], [{}]),
        ("attributes:a-b", [{"a-b": ""}], [{"a": ""}]),
    ],
)
def test_a_filter_matches_attributes(text: str, matching: list[dict[str, str]], others: list[dict[str, str]]) -> None:
    found = parse_filter(text)
    assert found is not None
    assert [found(attributes) for attributes in matching] == [True] * len(matching)
    assert [found(attributes) for attributes in others] == [False] * len(others)


def test_an_empty_filter_is_none() -> None:
    assert parse_filter("") is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("attributes:a AND attributes:b OR attributes:c", "found OR at column 31, expected parentheses"),
        ("attributes:a OR attributes:b AND attributes:c", "found AND at column 30, expected parentheses"),
        ("attributes.a = b", "found b at column 16, expected a string in double quotes"),
        ("attributes.a = 'b'", "found \"'b'\" at column 15"),
        ("attributes.a", "found the end at column 13, expected = or !="),
        ("attributes:a attributes:b", "found attributes at column 14, expected AND, OR or the end"),
        ("(attributes:a", r"found the end at column 14, expected \)"),
        ('hasPrefix(attributes:a, "b")', r"found : at column 21, expected \."),
        ("data:a", "found data at column 1, expected attributes"),
        ("   ", "found the end at column 4, expected attributes"),
        ("attributes:" + "a" * 246, "found 257 bytes, expected 256 at most"),
    ],
)
def test_an_invalid_filter_is_refused(text: str, error: str) -> None:
    with pytest.raises(ApiError, match=error):
        parse_filter(text)
