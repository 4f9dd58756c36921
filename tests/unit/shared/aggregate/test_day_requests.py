"""Requests to `aggregate`: every valid form, and the errors of invalid ones."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.provision.scheduler_client import TOPIC as SCHEDULED
from shared.aggregate.day_requests import (
    MAX_DAYS_PER_REQUEST,
    REQUEST_FOR_TODAY,
    TODAY,
    TOPIC,
    day_range,
    request_for,
    requested_days,
)
from shared.errors import RequestError
from shared.pubsub.message import Message, receive
from tests.support.samples import message
from tests.support.small_messages import json_values

PUBLISHED = datetime(2024, 1, 16, 0, 30, tzinfo=UTC)


def request(data: bytes) -> Message:
    return message(data, message_id="77", published=PUBLISHED)


@pytest.mark.parametrize("data", [b"", b" \n", b"{}", b"null", b"[]", gzip.compress(b"{}", mtime=0)])
def test_an_empty_request_names_no_days(data: bytes) -> None:
    assert requested_days(request(data)) is None


@pytest.mark.parametrize(
    ("data", "days"),
    [
        (b'{"date": "2024-01-15"}', [date(2024, 1, 15)]),
        (b'\xef\xbb\xbf{\n  "date": "2024-01-15"\n}\n', [date(2024, 1, 15)]),
        (gzip.compress(b'{"date": "2024-01-15"}', mtime=0), [date(2024, 1, 15)]),
        (b'{"from": "2024-02-28", "to": "2024-03-01"}', [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]),
        (b'{"to": "2024-01-15", "from": "2024-01-15"}', [date(2024, 1, 15)]),
    ],
)
def test_a_request_names_one_day_or_a_range(data: bytes, days: list[date]) -> None:
    assert requested_days(request(data)) == days


def test_a_request_for_today_names_no_date() -> None:
    assert requested_days(request(REQUEST_FOR_TODAY)) == TODAY
    assert requested_days(request(b'{"date":"today"}')) == TODAY


EXPECTED = (
    ', expected an empty message, {"date": "YYYY-MM-DD" or "today"} or {"from": "YYYY-MM-DD", "to": "YYYY-MM-DD"}'
)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"nonsense", "message 77: found invalid JSON" + EXPECTED),
        (b"\xff", "message 77: found invalid JSON" + EXPECTED),
        (b"\x1f\x8b", "message 77: found invalid JSON" + EXPECTED),
        (b"[" * 100_000, "message 77: found invalid JSON" + EXPECTED),
        (b'{"date": "2024-01-15"}\n{"date": "2024-01-16"}', "message 77: found invalid JSON" + EXPECTED),
        (b"5", "message 77: found int" + EXPECTED),
        (b'"2024-01-15"', "message 77: found str" + EXPECTED),
        (b"[[]]", "message 77: found list" + EXPECTED),
        (b'{"day": "2024-01-15"}', "message 77: found day" + EXPECTED),
        (b'{"from": "2024-01-15"}', "message 77: found from" + EXPECTED),
        (b'{"date": "2024-01-15", "to": "2024-01-15"}', "message 77: found date, to" + EXPECTED),
        (b'{"' + b"x" * 1_000 + b'": 1}', "message 77: found " + "x" * 200 + EXPECTED),
        (b'{"date": "15/01/2024"}', "message 77: date: found '15/01/2024', expected a date such as 2024-01-15"),
        (b'{"date": "2024-02-30"}', "message 77: date: found '2024-02-30', expected a date such as 2024-01-15"),
        (b'{"date": null}', "message 77: date: found 'None', expected a date such as 2024-01-15"),
        (b'{"from": "2024-01-15", "to": 5}', "message 77: to: found '5', expected a date such as 2024-01-15"),
        (b'{"date": "Today"}', "message 77: date: found 'Today', expected a date such as 2024-01-15"),
        (b'{"from": "today", "to": "today"}', "message 77: from: found 'today', expected a date such as 2024-01-15"),
        (
            b'{"from": "2024-01-16", "to": "2024-01-15"}',
            "from 2024-01-16 to 2024-01-15: found 0 days, expected 1 to 3660",
        ),
        (
            b'{"from": "0202-01-15", "to": "2024-01-15"}',
            "from 0202-01-15 to 2024-01-15: found 665473 days, expected 1 to 3660",
        ),
    ],
)
def test_an_invalid_request_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        requested_days(request(data))

    assert str(caught.value) == text


def test_a_body_that_is_no_pubsub_message_is_refused() -> None:
    with pytest.raises(RequestError, match="invalid JSON"):
        requested_days(receive({"date": "2024-01-15"}, {"id": "77"}))


@given(json_values | st.fixed_dictionaries({}, optional={"date": json_values, "from": json_values, "to": json_values}))
def test_every_request_returns_days_or_a_clear_error(requested: Any) -> None:
    body = {"message": {"data": base64.b64encode(json.dumps(requested).encode()).decode(), "messageId": "77"}}
    try:
        days = requested_days(receive(body))
    except RequestError as error:
        days = None
        text = str(error)
    else:
        text = "expected"

    assert "expected" in text
    assert days is None or len(days) <= MAX_DAYS_PER_REQUEST


def test_the_number_of_days_in_a_range_is_limited() -> None:
    first = date(2024, 1, 1)
    last = date.fromordinal(first.toordinal() + MAX_DAYS_PER_REQUEST - 1)

    assert len(day_range(first, last)) == MAX_DAYS_PER_REQUEST
    with pytest.raises(RequestError, match="found 3661 days"):
        day_range(first, date.fromordinal(last.toordinal() + 1))


@given(st.dates())
def test_the_message_for_a_day_requests_only_that_day(day: date) -> None:
    """Otherwise it would fan out into further messages without end."""
    assert requested_days(request(request_for(day))) == [day]


def test_requests_for_days_use_the_topic_of_the_schedule() -> None:
    assert TOPIC == SCHEDULED
