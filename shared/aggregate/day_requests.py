"""What a message asks `aggregate` for, and the message that asks for one day. Pure."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from shared.errors import RequestError
from shared.pubsub.message import Message, UnpackError, unpack
from shared.timestamps import days_between

TOPIC = "aggregate-requests"
# A request for more days than this is a mistake, such as a year with a digit too many.
MAX_DAYS_PER_REQUEST = 3_660


def request_for(day: date) -> bytes:
    """Return the data of the message that asks for a day and nothing else, so that it never becomes several."""
    return f'{{"date": "{day}"}}'.encode()


def requested_days(message: Message) -> list[date] | None:
    """Return the days that a request names, oldest first; None if it is empty, which asks for what is due.

    A request is `{"date": "2024-01-15"}`, `{"from": "2024-01-01", "to": "2024-01-31"}` with both included, or empty.

    Raises:
        RequestError: it is anything else; the text says what was found and what was expected.
    """
    expected = 'nothing, {"date": "YYYY-MM-DD"} or {"from": "YYYY-MM-DD", "to": "YYYY-MM-DD"}'
    try:
        data = b"".join(unpack(message))
        request = msgspec.json.decode(data) if data else {}
    except (UnpackError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError(f"message {message.message_id}: found what isn't JSON, expected {expected}") from None
    if request in ({}, None):
        return None
    if not isinstance(request, dict) or not (request.keys() == {"date"} or request.keys() == {"from", "to"}):
        found = ", ".join(map(str, request)) if isinstance(request, dict) else type(request).__name__
        raise RequestError(f"message {message.message_id}: found {found[:200]}, expected {expected}")
    first_key, last_key = ("date", "date") if "date" in request else ("from", "to")
    first, last = _date(request[first_key], first_key, message), _date(request[last_key], last_key, message)
    return day_range(first, last)


def day_range(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last`; RequestError if that is backwards or too many."""
    count = (last - first).days + 1
    if not 1 <= count <= MAX_DAYS_PER_REQUEST:
        raise RequestError(f"from {first} to {last}: found {count} days, expected 1 to {MAX_DAYS_PER_REQUEST}")
    return list(days_between(first, last))


def _date(value: Any, key: str, message: Message) -> date:
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        raise RequestError(
            f"message {message.message_id}: {key}: found {str(value)[:80]!r}, expected a day such as 2024-01-15"
        ) from None
