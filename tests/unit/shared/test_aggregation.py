"""What a message asks `aggregate` for, and which events of a user's day count."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import contract, keys
from shared.aggregation import MOST_DAYS, Aggregation, _by_user, _each_id_once, day_range, requested_days
from shared.bigtable import Bigtable
from shared.chunks import Cell, Row
from shared.config import Settings
from shared.envelope import Message, receive
from shared.errors import RequestError
from tests.support import MUSIC_CONTRACT, message
from tests.unit.shared.small import json_values

PUBLISHED = datetime(2024, 1, 16, 0, 30, tzinfo=UTC)


def request(data: bytes) -> Message:
    return message(data, message_id="77", published=PUBLISHED)


@pytest.mark.parametrize("data", [b"", b" \n", b"{}", b"null", b"[]", gzip.compress(b"{}")])
def test_nothing_asks_for_no_day_in_particular(data: bytes) -> None:
    assert requested_days(request(data)) is None


@pytest.mark.parametrize(
    ("data", "days"),
    [
        (b'{"date": "2024-01-15"}', [date(2024, 1, 15)]),
        (b'\xef\xbb\xbf{\n  "date": "2024-01-15"\n}\n', [date(2024, 1, 15)]),
        (gzip.compress(b'{"date": "2024-01-15"}'), [date(2024, 1, 15)]),
        (b'{"from": "2024-02-28", "to": "2024-03-01"}', [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]),
        (b'{"to": "2024-01-15", "from": "2024-01-15"}', [date(2024, 1, 15)]),
    ],
)
def test_days_that_are_asked_for(data: bytes, days: list[date]) -> None:
    assert requested_days(request(data)) == days


EXPECTED = ', expected nothing, {"date": "YYYY-MM-DD"} or {"from": "YYYY-MM-DD", "to": "YYYY-MM-DD"}'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"nonsense", "message 77: found what isn't JSON" + EXPECTED),
        (b"\xff", "message 77: found what isn't JSON" + EXPECTED),
        (b"\x1f\x8b", "message 77: found what isn't JSON" + EXPECTED),
        (b"[" * 100_000, "message 77: found what isn't JSON" + EXPECTED),
        (b'{"date": "2024-01-15"}\n{"date": "2024-01-16"}', "message 77: found what isn't JSON" + EXPECTED),
        (b"5", "message 77: found int" + EXPECTED),
        (b'"2024-01-15"', "message 77: found str" + EXPECTED),
        (b"[[]]", "message 77: found list" + EXPECTED),
        (b'{"day": "2024-01-15"}', "message 77: found day" + EXPECTED),
        (b'{"from": "2024-01-15"}', "message 77: found from" + EXPECTED),
        (b'{"date": "2024-01-15", "to": "2024-01-15"}', "message 77: found date, to" + EXPECTED),
        (b'{"' + b"x" * 1_000 + b'": 1}', "message 77: found " + "x" * 200 + EXPECTED),
        (b'{"date": "15/01/2024"}', "message 77: date: found '15/01/2024', expected a day such as 2024-01-15"),
        (b'{"date": "2024-02-30"}', "message 77: date: found '2024-02-30', expected a day such as 2024-01-15"),
        (b'{"date": null}', "message 77: date: found 'None', expected a day such as 2024-01-15"),
        (b'{"from": "2024-01-15", "to": 5}', "message 77: to: found '5', expected a day such as 2024-01-15"),
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
def test_requests_for_nothing_that_could_be_done(data: bytes, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        requested_days(request(data))

    assert str(caught.value) == text


def test_what_is_no_pubsub_message_asks_for_nothing_that_could_be_done() -> None:
    with pytest.raises(RequestError, match="isn't JSON"):
        requested_days(receive({"date": "2024-01-15"}, {"id": "77"}))


@given(json_values | st.fixed_dictionaries({}, optional={"date": json_values, "from": json_values, "to": json_values}))
def test_whatever_is_asked_days_or_a_clear_error(asked: Any) -> None:
    body = {"message": {"data": base64.b64encode(json.dumps(asked).encode()).decode(), "messageId": "77"}}
    try:
        days = requested_days(receive(body))
    except RequestError as error:
        days = None
        text = str(error)
    else:
        text = "expected"

    assert "expected" in text
    assert days is None or len(days) <= MOST_DAYS


def test_so_many_days_and_no_more() -> None:
    first = date(2024, 1, 1)
    last = date.fromordinal(first.toordinal() + MOST_DAYS - 1)

    assert len(day_range(first, last)) == MOST_DAYS
    with pytest.raises(RequestError, match="found 3661 days"):
        day_range(first, date.fromordinal(last.toordinal() + 1))


async def test_an_empty_message_means_the_day_before_its_publication_and_the_marked_days(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aggregation = Aggregation(Bigtable(Settings("p", "i")), contract.load(MUSIC_CONTRACT))
    marked = [date(2024, 1, 3), date(2024, 1, 15)]

    async def late_days() -> list[date]:
        return marked

    async def nothing_missed(yesterday: date) -> list[date]:
        return []

    monkeypatch.setattr(aggregation._state, "late_days", late_days)
    monkeypatch.setattr(aggregation, "_missed", nothing_missed)

    assert await aggregation.days(request(b"")) == [date(2024, 1, 3), date(2024, 1, 15)]
    marked.clear()
    assert await aggregation.days(request(b"{}")) == [date(2024, 1, 15)]
    marked.append(date(2024, 1, 3))
    assert await aggregation.days(request(b'{"date": "2024-01-01"}')) == [date(2024, 1, 1)]


# Each id once


def row(user: str, *events: tuple[str, datetime, bytes], bucket: keys.Bucket = "day") -> Row:
    """Return the row that has these events, (id, time, value), as Bigtable returns it."""
    places = [(keys.event_place(user, identity, time, bucket), value) for identity, time, value in events]
    cells = [Cell("e", place.qualifier, place.micros, value) for place, value in places]
    return of_cells(places[0][0].row_key, sorted(cells, key=lambda cell: cell.qualifier))


def of_cells(key: bytes, cells: list[Cell]) -> Row:
    return Row(key, *map(list, zip(*cells, strict=True)))  # type: ignore[arg-type]


def at(hour: int, micros: int = 0) -> datetime:
    return datetime(2024, 1, 15, hour, 0, 0, micros, tzinfo=UTC)


def test_of_events_with_one_id_the_newest_counts() -> None:
    day = row("ann", ("1", at(9), b"old"), ("2", at(10), b"other"), ("1", at(11), b"new"), ("1", at(8), b"older"))

    values, findings, repeated = _each_id_once([day])

    assert sorted(values) == [b"new", b"other"]
    assert (findings, repeated) == ([], 2)


def test_of_hourly_rows_the_latest_counts() -> None:
    hours = [
        row("ann", ("1", at(9), b"old"), bucket="hour"),
        row("ann", ("1", at(10), b"new"), ("2", at(10), b"other"), bucket="hour"),
    ]

    values, _, repeated = _each_id_once(hours)

    assert (sorted(values), repeated) == ([b"new", b"other"], 1)


def test_ids_that_only_begin_alike_are_two() -> None:
    assert _each_id_once([row("ann", ("1", at(9), b"a"), ("10", at(9), b"b"), ("1:0", at(9), b"c"))])[2] == 0


@pytest.mark.parametrize("findings_first", [False, True], ids=["behind", "before"])
def test_findings_are_those_of_the_events_that_count(findings_first: bool) -> None:
    """Bigtable says nothing of the order that a row's families come in."""
    day = row("ann", ("1", at(9), b"old"), ("1", at(11), b"new"), ("2", at(10), b"other"))
    found = [
        Cell("f", cell.qualifier, cell.micros, b"about " + cell.value) for cell in day.cells if cell.value != b"other"
    ]

    cells = [*found, *day.cells] if findings_first else [*day.cells, *found]

    _, findings, _ = _each_id_once([of_cells(day.key, cells)])

    assert findings == [b"about new"]


async def test_neighbouring_rows_of_a_user_belong_together() -> None:
    rows = [
        row("ann", ("1", at(9), b""), bucket="hour"),
        row("ann", ("2", at(10), b""), bucket="hour"),
        row("ann2", ("3", at(10), b""), bucket="hour"),
        row("bob", ("4", at(10), b"")),
    ]

    async def stream() -> AsyncIterator[Row]:
        for each in rows:
            yield each

    assert [group async for group in _by_user(stream())] == [rows[:2], rows[2:3], rows[3:]]


async def test_no_rows_are_no_users() -> None:
    async def stream() -> AsyncIterator[Row]:
        return
        yield

    assert [group async for group in _by_user(stream())] == []
