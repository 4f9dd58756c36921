"""Find the notation of a column of times: RFC 3339, a number since 1970, or a strptime format. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any

from shared import timestamps

# Times of a log; other numbers and texts aren't times.
_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
# Values that decide whether a notation is worth trying on all of them.
_PROBED = 20

_UNITS = ("s", "ms", "us", "ns")
_SERIAL_DAYS = "serial_days"  # of a spreadsheet; they are only recognized by their fractions

_CLOCKS = ("%H:%M:%S.%f", "%H:%M:%S,%f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_OFFSETS = ("", "%z", " %z")
# Dates with the separator of their clock. The year is first, the month is a name, or the day and month are ambiguous.
_YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d")
_NAMED = ("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d/%b/%Y")
_NUMBERS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y")
_WHOLE = (
    "%d/%b/%Y:%H:%M:%S %z",  # web servers
    "[%d/%b/%Y:%H:%M:%S %z]",
    "%Y-%m-%d-%H.%M.%S.%f",
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S UTC %Y",
    "%a %b %d %H:%M:%S %Y",  # ctime
    "%a %b %d %H:%M:%S.%f %Y",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%dT%H%M%S",
    "%Y%m%d%H%M%S",
    "%Y%m%d",
)


@dataclass(frozen=True)
class Notation:
    """How the times of a column are written, and the times.

    Attributes:
        unit, format: as in a contract; both None for RFC 3339.
        times: one for each value, None for a value that is no time.
        ambiguous: another format that reads all the values, with day and month exchanged.
    """

    unit: str | None
    format: str | None
    times: Sequence[datetime | None]
    ambiguous: str | None = None

    @property
    def share(self) -> float:
        """The share of the values that are times."""
        return sum(time is not None for time in self.times) / len(self.times)

    @property
    def ordered(self) -> float:
        """The share of neighbours that are in order of time; a log is mostly ordered by the time of its events."""
        times = [time for time in self.times if time is not None]
        return sum(first <= second for first, second in pairwise(times)) / max(1, len(times) - 1)

    @property
    def exact(self) -> bool:
        """Whether the times have seconds; appointments, days and other rounded times don't."""
        return any(time.second or time.microsecond for time in self.times if time is not None)


def notation_of(values: Sequence[Any], *, named_as_time: bool, least_share: float = 1.0) -> Notation | None:
    """Return the notation of a column's values, None if they are no times.

    Args:
        values: without nulls.
        named_as_time: whether the column's name says that these are times. Numbers are only times in such a column.
        least_share: the share of the values that the notation has to read.
    """
    numbers = all(type(value) in (int, float) for value in values)
    if not values or (numbers and not named_as_time):
        return None
    found = [
        Notation(unit, format, times)
        for unit, format in (_of_numbers(values) if numbers else _of_texts(named_as_time))
        if (times := _read(values, unit, format, least_share)) is not None
    ]
    if not found:
        return None
    best = max(found, key=lambda each: (each.share, each.ordered if _has_twin(each.format) else 1.0))
    twin = next((each.format for each in found if each.format == _twin(best.format) and each.share == best.share), None)
    return Notation(best.unit, best.format, best.times, ambiguous=twin)


def _of_numbers(values: Sequence[Any]) -> Iterable[tuple[str | None, str | None]]:
    units = (*_UNITS, _SERIAL_DAYS) if any(value % 1 for value in values) else _UNITS
    return [(unit, None) for unit in units]


def _of_texts(named_as_time: bool) -> Iterable[tuple[str | None, str | None]]:
    yield None, None
    yield None, timestamps.RFC_2822
    for format in _formats():
        if named_as_time or "%Y%m%d" not in format:
            yield None, format


@cache
def _formats() -> tuple[str, ...]:
    dates = (*_YEAR_FIRST, *_NAMED, *_NUMBERS)
    separators = {date: (" ", "T") if date.startswith("%Y") else (" ", ", ") for date in dates}
    with_clock = [
        f"{date}{separator}{clock}{offset}"
        for date in dates
        for separator in separators[date]
        for clock in _CLOCKS
        for offset in _OFFSETS
    ]
    return (*_WHOLE, *with_clock, *dates)


def _read(values: Sequence[Any], unit: str | None, format: str | None, share: float) -> list[datetime | None] | None:
    """Return the times, None for a notation that reads too few of the values."""
    if format is not None and not _looks_like(format, values):
        return None
    read = timestamps.reader(unit, format)
    for part in (values[:_PROBED], values):
        times = [time if type(time := read(value)) is datetime and _plausible(time) else None for value in part]
        if sum(time is not None for time in times) < share * len(part):
            return None
    return times


def _plausible(time: datetime) -> bool:
    return _EARLIEST <= time < _LATEST


def _looks_like(format: str, values: Sequence[Any]) -> bool:
    """Return whether a value has the punctuation of a format; trying all formats on all values would take seconds."""
    if format == timestamps.RFC_2822:
        return True
    marks = re.sub(r"%[a-zA-Z]|[\w\s]", "", format)
    digits = "%b" not in format and "%B" not in format and "%a" not in format
    for value in values[:_PROBED]:
        if type(value) is str:
            text = re.sub(r"(:\d\d(?:[.,]\d+)?) ?[+-]\d\d:?\d\d(?=\]?$| )", r"\1", value.strip())
            return re.sub(r"[\w\s]", "", text) == marks and digits == (not re.search(r"[A-Za-z]{3}", text))
    return False


def _twin(format: str | None) -> str | None:
    """Return the format with day and month exchanged."""
    if format is None or not format.startswith(("%d", "%m")) or "%b" in format or "%B" in format:
        return None
    first, second = ("%m", "%d") if format.startswith("%d") else ("%d", "%m")
    return f"{first}{format[2]}{second}{format[5:]}"


def _has_twin(format: str | None) -> bool:
    return _twin(format) is not None
