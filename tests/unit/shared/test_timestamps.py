"""Timestamps are read as UTC datetimes, and unreadable values stay unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import timestamps
from tests.support.small_messages import json_values

NOON = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-15T12:00:00Z", NOON),
        ("2024-01-15t12:00:00z", NOON),
        ("2024-01-15 12:00:00Z", NOON),
        ("2024-01-15T12:00:00", NOON),  # no offset: UTC
        ("2024-01-15T12:00:00-00:00", NOON),  # an offset unknown to the sender
        ("2024-01-15T13:30:00+01:30", NOON),
        ("2024-01-14T20:00:00-16:00", NOON),
        ("2024-01-16T11:59:00+23:59", NOON),
        ("2024-01-15T12:00:00.5Z", NOON.replace(microsecond=500_000)),
        ("2024-01-15T12:00:00.123456Z", NOON.replace(microsecond=123_456)),
        ("2024-01-15T12:00:00.123456789Z", NOON.replace(microsecond=123_456)),  # cut, never rounded up
        ("2024-01-15 12:00:00 UTC", NOON),
        ("2024-01-15 12:00:00.5 UTC", NOON.replace(microsecond=500_000)),
        ("2024-01-15T12:00:00.999999999Z", NOON.replace(microsecond=999_999)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_rfc_3339_text_is_read(text: str, moment: datetime) -> None:
    found = timestamps.reader(None, None)(text)

    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2024-01-15",
        "20240115T120000Z",
        "2024-W03-1T12:00:00Z",
        "2024-01-15T12:00Z",
        "2024-01-15T24:00:00Z",
        "2024-01-15T12:60:00Z",
        "2024-01-15T12:00:60Z",
        "2023-02-29T12:00:00Z",
        "2024-13-01T12:00:00Z",
        "2024-01-15T12:00:00+24:00",
        "2024-01-15T12:00:00+0100",
        "2024-01-15T12:00:00.Z",
        "2024-01-15T12:00:00,5Z",
        "2024-01-15T12:00:00.1234567890Z",
        "2024-01-15T12:00:00Z ",
        "2024-01-15T12:00:00Z\n",
        "2024-01-15\u20032:00:00Z",
        "\u0662\u0660\u0662\u0664-01-15T12:00:00Z",  # digits, but not ASCII ones
        "0001-01-01T00:00:00+05:00",  # before the year 1 in UTC
        "9999-12-31T23:59:59-05:00",
        1_705_320_000,
        None,
        True,
        ["2024-01-15T12:00:00Z"],
    ],
)
def test_values_other_than_rfc_3339_stay_unchanged(value: Any) -> None:
    assert timestamps.reader(None, None)(value) is value


@pytest.mark.parametrize(
    ("unit", "number", "moment"),
    [
        ("s", 1_705_320_000, NOON),
        ("s", 1_705_320_000.25, NOON.replace(microsecond=250_000)),
        ("ms", 1_705_320_000_123, NOON.replace(microsecond=123_000)),
        ("ms", 1_705_320_000_123.5, NOON.replace(microsecond=123_500)),
        ("us", 1_705_320_000_123_456, NOON.replace(microsecond=123_456)),
        ("s", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("s", -1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_numbers_since_1970_are_read(unit: str, number: float, moment: datetime) -> None:
    found = timestamps.reader(unit, None)(number)

    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("unit", "number", "moment"),
    [
        ("ns", 1_705_320_000_123_456_789, NOON.replace(microsecond=123_456)),  # cut, like the digits of a text
        ("ns", 1.70532e18, NOON),
        ("ns", -1, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("serial_days", 45_306.5, NOON),
        ("serial_days", 45_306, NOON.replace(hour=0)),
        ("serial_days", 45_306.4378819444, NOON.replace(hour=10, minute=30, second=33)),  # 15 digits, as stored
        ("serial_days", 25_569, datetime(1970, 1, 1, tzinfo=UTC)),
        ("serial_days", 61, datetime(1900, 3, 1, tzinfo=UTC)),
    ],
)
def test_nanoseconds_and_days_of_spreadsheets_are_read(unit: str, number: float, moment: datetime) -> None:
    found = timestamps.reader(unit, None)(number)

    assert found == moment
    assert found.tzinfo is UTC


# https://www.rfc-editor.org/rfc/rfc2822#section-3.3 and the dates of mails, which name the zone in a comment.
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 15 Jan 2024 12:00:00 GMT", NOON),
        ("Mon, 15 Jan 2024 05:00:00 -0700 (MST)", NOON),
        ("15 Jan 2024 13:30 +0130", NOON),
        ("Mon, 15 Jan 2024 07:00:00 EST", NOON),
        ("Mon,  15  Jan 2024 12:00:00 Z ", NOON),
        ("Mon, 1 Jan 2024 12:00:00 -0000", NOON.replace(day=1)),
    ],
)
def test_rfc_2822_text_is_read(text: str, moment: datetime) -> None:
    found = timestamps.reader(None, "rfc2822")(text)

    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 15 Jan 2024 12:00:00 XYZ",  # an unknown zone isn't taken as UTC
        "Mon, 15 Jan 2024 12:00:00",
        "Mon, 15 Jan 24 12:00:00 GMT",
        "Mon, 32 Jan 2024 12:00:00 GMT",
        "Mon, 15 Jan 2024 25:00:00 GMT",
        "Sat, 01 Jan 0001 00:00:00 +0100",
        "2024-01-15T12:00:00Z",
        1_705_320_000,
        None,
    ],
)
def test_values_other_than_rfc_2822_stay_unchanged(value: Any) -> None:
    assert timestamps.reader(None, "rfc2822")(value) is value


@given(
    st.lists(st.sampled_from(["2024-01-15 12:00:00 UTC", "2024-02-30 12:00:00 UTC", "2024-01-15T12:00:00Z", 5, " UTC"]))
)
def test_a_column_is_read_like_its_values(column: list[Any]) -> None:
    read = timestamps.reader(None, None)

    assert timestamps.column_reader(None, None)(column) == list(map(read, column))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "serial_days"])
@pytest.mark.parametrize("value", [10**30, -(10**30), 1e300, float("inf"), float("nan"), "1705320000", None, True, {}])
def test_invalid_numbers_stay_unchanged(unit: str, value: Any) -> None:
    assert timestamps.reader(unit, None)(value) is value


@pytest.mark.parametrize(
    ("format", "text", "moment"),
    [
        ("%d/%m/%Y %H:%M", "15/01/2024 12:00", NOON),
        ("%Y-%m-%d", "2024-01-15", NOON.replace(hour=0)),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-15T14:00:00+0200", NOON),
        ("%d/%b/%Y:%H:%M:%S %z", "15/Jan/2024:07:00:00 -0500", NOON),
        ("%a %b %d %H:%M:%S %Y", "Mon Jan 15 12:00:00 2024", NOON),
        ("%Y%m%d%H%M%S%f", "20240115120000000001", NOON.replace(microsecond=1)),
    ],
)
def test_text_of_a_format_is_read(format: str, text: str, moment: datetime) -> None:
    found = timestamps.reader(None, format)(text)

    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize("value", ["", "15.01.2024", "32/01/2024 12:00", "15/01/2024 12:00 ", 5, None])
def test_text_of_another_format_stays_unchanged(value: Any) -> None:
    assert timestamps.reader(None, "%d/%m/%Y %H:%M")(value) is value


def test_a_formatted_time_out_of_range_stays_unchanged() -> None:
    text = "0001-01-01 +0500"

    assert timestamps.reader(None, "%Y-%m-%d %z")(text) is text


@given(st.datetimes(timezones=st.none() | st.timedeltas(timedelta(hours=-12), timedelta(hours=12)).map(timezone)))
def test_any_datetime_in_iso_format_is_read_back(moment: datetime) -> None:
    try:
        expected = timestamps.utc(moment)
    except OverflowError:
        return
    offset = moment.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        return  # RFC 3339 has no seconds in offsets

    assert timestamps.reader(None, None)(moment.isoformat()) == expected


@given(
    json_values,
    st.sampled_from(
        [
            (None, None),
            ("s", None),
            ("ms", None),
            ("us", None),
            ("ns", None),
            ("serial_days", None),
            (None, "rfc2822"),
            (None, "%d/%m/%Y %z %j"),
        ]
    ),
)
def test_any_value_gives_a_utc_datetime_or_stays_unchanged(value: Any, written: tuple[str | None, str | None]) -> None:
    found = timestamps.reader(*written)(value)

    assert found is value or found.tzinfo is UTC


def test_naive_datetimes_are_taken_as_utc() -> None:
    assert timestamps.utc(datetime(2024, 1, 15, 12, 0)) == NOON
    assert timestamps.utc(datetime(2024, 1, 15, 14, 0, tzinfo=timezone(timedelta(hours=2)))) == NOON
