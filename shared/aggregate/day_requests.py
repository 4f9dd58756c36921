"""Requests to `aggregate`: read the days that a message requests, and build the message for one day. Pure."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec

from shared.errors import RequestError
from shared.pubsub.message import Message, UnpackError, unpack
from shared.timestamps import days_between

TOPIC = "aggregate-requests"
# A request for more days than this is a mistake, such as a year with an extra digit.
MAX_DAYS_PER_REQUEST = 3_660


# Requests the current day. The schedule publishes it, so the time of its publication says which day that is.
TODAY: Literal["today"] = "today"
REQUEST_FOR_TODAY = f'{{"date": "{TODAY}"}}'.encode()


def request_for(day: date) -> bytes:
    """Return the message data that requests exactly one day, so that it never fans out again."""
    return f'{{"date": "{day}"}}'.encode()


def requested_days(message: Message) -> list[date] | Literal["today"] | None:
    """Return the days that a message names, oldest first; None for an empty message, which requests the days due.

    A request is `{"date": "2024-01-15"}`, `{"from": "2024-01-01", "to": "2024-01-31"}` (both inclusive),
    `{"date": "today"}`, or empty.

    Raises:
        RequestError: any other message; the text states what was found and what was expected.
    """
    expected = 'an empty message, {"date": "YYYY-MM-DD" or "today"} or {"from": "YYYY-MM-DD", "to": "YYYY-MM-DD"}'
    try:
        data = b"".join(unpack(message))
        request = msgspec.json.decode(data) if data else {}
    except (UnpackError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError(f"message {message.message_id}: found invalid JSON, expected {expected}") from None
    if request in ({}, None):
        return None
    if not isinstance(request, dict) or not (request.keys() == {"date"} or request.keys() == {"from", "to"}):
        found = ", ".join(map(str, request)) if isinstance(request, dict) else type(request).__name__
        raise RequestError(f"message {message.message_id}: found {found[:200]}, expected {expected}")
    if request == {"date": TODAY}:
        return TODAY
    first_key, last_key = ("date", "date") if "date" in request else ("from", "to")
    first = _parse_date(request[first_key], first_key, message)
    last = _parse_date(request[last_key], last_key, message)
    return day_range(first, last)


def day_range(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last`; RequestError if the order is reversed or there are too many."""
    count = (last - first).days + 1
    if not 1 <= count <= MAX_DAYS_PER_REQUEST:
        raise RequestError(f"from {first} to {last}: found {count} days, expected 1 to {MAX_DAYS_PER_REQUEST}")
    return list(days_between(first, last))


def _parse_date(value: Any, key: str, message: Message) -> date:
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        raise RequestError(
            f"message {message.message_id}: {key}: found {str(value)[:80]!r}, expected a date such as 2024-01-15"
        ) from None
