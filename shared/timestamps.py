"""Read timestamps as UTC datetimes: RFC 3339 or RFC 2822 text, numbers, or text in a strptime format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec

MICROSECONDS_PER_DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Date and time of RFC 3339, section 5.6, with an optional offset. " UTC" is written like "Z" by many databases.
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]| UTC|[+-]\d\d:\d\d)?", re.ASCII
).fullmatch
# Length of a UTC time with microseconds; msgspec would round further digits.
_MAX_EXACT_CHARS = len("2024-01-15T10:30:00.123456Z")
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_UTC_SUFFIX = " UTC"
_last_character = itemgetter(slice(-1, None))  # of an empty text, the empty text
# Day 0 of spreadsheets, if the days from 1900-03-01 on are counted. Earlier ones are off by one, and before 1970.
SPREADSHEET_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_MILLISECONDS_PER_DAY = 86_400_000
RFC_2822 = "rfc2822"  # the format of a field
# Section 3.3, and the names of zones of section 4.3. `email.utils` takes an unknown name as UTC, so it isn't asked.
_RFC_2822 = re.compile(
    r"\s*(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),\s*)?(\d{1,2})\s+(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+"
    r"(\d{4})\s+(\d\d):(\d\d)(?::(\d\d))?\s+(?:([+-]\d\d[0-5]\d)|(UT|GMT|EST|EDT|CST|CDT|MST|MDT|PST|PDT|Z))"
    r"(?:\s*\([^()]*\))?\s*",
    re.ASCII,
).fullmatch
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONE_HOURS = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


def reader(unit: str | None, format: str | None) -> Callable[[Any], Any]:
    """Return the function that reads a field's timestamps.

    It returns an aware datetime in UTC, or an unreadable value unchanged, for which the checks produce a finding. Text
    without an offset is taken as UTC.

    Args:
        unit: "s", "ms", "us" or "ns" for numbers since 1970, "serial_days" for the days of a spreadsheet.
        format: "rfc2822" or a `datetime.strptime` format of texts; RFC 3339 without unit and format.
    """
    if unit == "ns":
        return _from_nanoseconds
    if unit == "serial_days":
        return _from_serial_days
    if unit is not None:
        return _from_number(_MICROSECONDS[unit])
    if format == RFC_2822:
        return _from_rfc_2822
    return _from_rfc_3339 if format is None else _from_format(format)


def column_reader(unit: str | None, format: str | None) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the function that reads a column of timestamps, each like `reader`."""
    read = reader(unit, format)
    if unit is not None or format is not None:
        return lambda column: list(map(read, column))

    def read_all(column: Sequence[Any]) -> list[Any]:
        short_texts = set(map(type, column)) == {str} and max(map(len, column)) <= _MAX_EXACT_CHARS
        if short_texts and set(map(_last_character, column)) == {"Z"}:
            with suppress(msgspec.ValidationError):
                return msgspec.convert(column, list[datetime])
        if short_texts and all(map(str.endswith, column, repeat(_UTC_SUFFIX))):
            with suppress(msgspec.ValidationError):
                return msgspec.convert([text[:-4] + "Z" for text in column], list[datetime])
        return list(map(read, column))

    return read_all


def utc(moment: datetime) -> datetime:
    """Return the datetime in UTC; a naive one is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _from_rfc_3339(value: Any) -> Any:
    if type(value) is not str:
        return value
    if value[-1:] == "Z" and len(value) <= _MAX_EXACT_CHARS:
        try:
            return msgspec.convert(value, datetime)  # takes a quarter of the time of the code below
        except msgspec.ValidationError:
            pass  # msgspec and the code below may accept different texts; the latter decides
    if not _RFC_3339(value):
        return value
    text = value.removesuffix(_UTC_SUFFIX) + "Z" if value[-1] == "C" else value
    try:
        moment = datetime.fromisoformat(text[:-1] + "Z" if text[-1] == "z" else text)
        return moment if moment.tzinfo is UTC else utc(moment)
    except (ValueError, OverflowError):
        return value


def _from_number(scale: int) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not int and type(value) is not float:
            return value
        try:
            return EPOCH + timedelta(microseconds=value * scale)
        except (OverflowError, ValueError):
            return value

    return read


def _from_nanoseconds(value: Any) -> Any:
    """Read nanoseconds since 1970; those below a microsecond are cut, like the digits of a text."""
    if type(value) is not int and type(value) is not float:
        return value
    try:
        return EPOCH + timedelta(microseconds=int(value // 1_000))
    except (OverflowError, ValueError):
        return value


def _from_serial_days(value: Any) -> Any:
    """Read days since 1899-12-30, rounded to a millisecond: spreadsheets store fractions of days with 15 digits."""
    if type(value) is not int and type(value) is not float:
        return value
    try:
        return SPREADSHEET_EPOCH + timedelta(milliseconds=round(value * _MILLISECONDS_PER_DAY))
    except (OverflowError, ValueError):
        return value


def _from_rfc_2822(value: Any) -> Any:
    match = _RFC_2822(value) if type(value) is str else None
    if match is None:
        return value
    day, month, year, hour, minute, second, offset, zone = match.groups()
    try:
        away = timedelta(hours=_ZONE_HOURS.get(zone, 0))
        if offset:
            away = int(offset[0] + "1") * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
        month_number = _MONTHS.index(month) + 1
        return datetime(int(year), month_number, int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC) - away
    except (ValueError, OverflowError):
        return value


def _from_format(format: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not str:
            return value
        try:
            return utc(datetime.strptime(value, format))
        except (ValueError, OverflowError):
            return value

    return read


def format_day(day: date) -> str:
    """Return a day as it is written in keys: YYYYMMDD."""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def parse_day(text: str) -> date:
    """Return the day that `format_day` wrote."""
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def days_between(first: date, last: date) -> Iterator[date]:
    """Yield the days from `first` to `last`, both inclusive."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        yield date.fromordinal(ordinal)


def end_of_day(day: date) -> datetime:
    """Return the first moment after a day in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def now() -> datetime:
    """Return the current time in UTC, in whole milliseconds like Bigtable's timestamps."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
