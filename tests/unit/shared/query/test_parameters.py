"""Parameters are read strictly, and every invalid one is in the problem."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.query import parameters
from shared.query.endpoints import ENDPOINTS
from shared.query.problems import ProblemError

PARAMETERS = (
    parameters.text("user", "The user.", 12),
    parameters.day("day", "The day."),
    parameters.moment("start", "The start."),
    parameters.limit(10, 50, "The limit."),
    parameters.choice("rule", "The rule.", ["type", "null"]),
    parameters.cursor(),
)
VALID = {"user": "u", "day": "2024-01-15"}


def read(query: bytes) -> dict[str, Any]:
    return parameters.read_parameters(query, PARAMETERS)


def errors(query: bytes) -> list[tuple[str, str, str]]:
    with pytest.raises(ProblemError) as caught:
        read(query)
    assert caught.value.problem.status == 400
    return [(each.parameter, each.found, each.expected) for each in caught.value.problem.errors]


def test_values_have_their_types_and_defaults() -> None:
    assert read(urlencode({**VALID, "start": "2024-01-15T12:00:00+02:00", "rule": "null", "limit": "50"}).encode()) == {
        "user": "u",
        "day": date(2024, 1, 15),
        "start": datetime(2024, 1, 15, 10, tzinfo=UTC),
        "limit": 50,
        "rule": "null",
        "cursor": None,
    }
    assert read(urlencode(VALID).encode())["limit"] == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user", ""),
        ("user", "ü" * 3),
        ("day", "2024-02-30"),
        ("day", "20240115"),
        ("day", "1969-12-31"),
        ("day", "9999-01-01"),
        ("day", "٢٠٢٤-01-15"),
        ("start", "2024-01-15"),
        ("start", "1969-01-01T00:00:00Z"),
        ("limit", "0"),
        ("limit", "51"),
        ("limit", "-1"),
        ("limit", "1e1"),
        ("limit", "٣"),
        ("limit", "9" * 5_000),
        ("rule", "other"),
        ("cursor", ""),
    ],
)
def test_an_invalid_value_is_named_with_what_was_expected(name: str, value: str) -> None:
    [(parameter, found, expected)] = errors(urlencode({**VALID, name: value}).encode())

    assert parameter == name
    assert found.isascii()
    assert len(found) <= 200
    assert expected == next(each.expected for each in PARAMETERS if each.name == name)


def test_all_errors_of_a_request_are_reported_together() -> None:
    found = errors(b"day=x&limit=0&limit=1&extra=1")

    assert [parameter for parameter, *_ in found] == ["day", "limit", "limit", '"extra"', "user"]
    assert found[2][1:] == ("it more than once", "it once")
    assert found[4][1] == "nothing"


@pytest.mark.parametrize("query", [b"user=%ff", "user=ü".encode(), b"a=1&" * 40])
def test_an_unreadable_query_string_is_a_problem(query: bytes) -> None:
    [(parameter, _, expected)] = errors(query)

    assert parameter == "query"
    assert "percent-encoded UTF-8" in expected


def test_a_lone_surrogate_is_read_like_the_tables_encode_it() -> None:
    assert read(b"user=%ED%A0%80&day=2024-01-15")["user"] == "\ud800"


@given(st.binary(max_size=200), st.sampled_from(sorted(ENDPOINTS)))
def test_any_query_string_is_read_or_is_a_problem(query: bytes, path: str) -> None:
    with suppress(ProblemError):
        found = parameters.read_parameters(query, ENDPOINTS[path].parameters)
        assert found.keys() == {each.name for each in ENDPOINTS[path].parameters}
