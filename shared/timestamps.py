"""Times as events have them: RFC 3339 text, numbers since 1970, or any strptime format, all made UTC datetimes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

# Date and time as RFC 3339, section 5.6, writes them; text without an offset is taken as UTC.
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)?", re.ASCII
).fullmatch
# Up to microseconds, and UTC; of more digits msgspec would round the last.
_MAX_EXACT_CHARS = len("2024-01-15T10:30:00.123456Z")
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def reader(unit: str | None, format: str | None) -> Callable[[Any], Any]:
    """Return the function that reads a field's timestamps.

    It returns an aware datetime in UTC, or the value as it came where that can't be read; the checks then say so.

    Args:
        unit: of numbers since 1970: "s", "ms" or "us".
        format: of texts, for `datetime.strptime`; without an offset in it they are taken as UTC.
    """
    if unit is not None:
        return _from_number(_MICROSECONDS[unit])
    return _from_rfc_3339 if format is None else _from_format(format)


def column_reader(unit: str | None, format: str | None) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the function that reads the timestamps of many events, each as `reader` does."""
    read = reader(unit, format)
    if unit is not None or format is not None:
        return lambda column: list(map(read, column))

    def read_all(column: Sequence[Any]) -> list[Any]:
        texts = set(map(type, column)) == {str} and max(map(len, column)) <= _MAX_EXACT_CHARS
        if texts and {text[-1:] for text in column} == {"Z"}:
            with suppress(msgspec.ValidationError):
                return msgspec.convert(column, list[datetime])
        return list(map(read, column))

    return read_all


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC; a naive one is taken as UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _from_rfc_3339(value: Any) -> Any:
    if type(value) is not str:
        return value
    if value[-1:] == "Z" and len(value) <= _MAX_EXACT_CHARS:
        try:
            return msgspec.convert(value, datetime)  # a quarter of the time of all that follows
        except msgspec.ValidationError:
            pass  # it isn't for msgspec to say what a time is
    if not _RFC_3339(value):
        return value
    try:
        moment = datetime.fromisoformat(value[:-1] + "Z" if value[-1] == "z" else value)
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


def _from_format(format: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not str:
            return value
        try:
            return utc(datetime.strptime(value, format))
        except (ValueError, OverflowError):
            return value

    return read


MICROSECONDS_PER_DAY = 86_400_000_000


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_day(day: date) -> str:
    """Return a day as keys have it: YYYYMMDD."""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def parse_day(text: str) -> date:
    """Undo `format_day`."""
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def days_between(first: date, last: date) -> Iterator[date]:
    """Iterate over the days from `first` to `last`, both included."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        yield date.fromordinal(ordinal)


def now() -> datetime:
    """Return the present in UTC, in whole milliseconds, as Bigtable keeps times."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
