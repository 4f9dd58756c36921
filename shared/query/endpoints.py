"""The endpoints of the read API: for each a path, parameters, and the reads that answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar, get_args

import msgspec

from shared.aggregate.spans import span_of_value
from shared.contracts.model import RESERVED_DIMENSION
from shared.query import answers, cursors, parameters
from shared.query.parameters import Parameter
from shared.query.problems import InvalidParameter, ProblemError
from shared.row_keys import MAX_DIMENSION_BYTES, MAX_ENCODED_USER_BYTES, MAX_QUALIFIER_BYTES, MAX_ROW_KEY_BYTES
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable, Position
from shared.tables.rejected import RejectedTable
from shared.tables.state import StateTable
from shared.timestamps import days_between
from shared.validation.results import Rule

T = TypeVar("T")
Arguments = Mapping[str, Any]

MAX_EVENTS, MAX_TOP, MAX_REJECTED = 1_000, 1_000, 200
# Days of one response, each of them read on its own, and concurrent reads.
MAX_DAYS = 100
# Days that one response merges; a read takes a call for all of them.
MAX_MERGED_DAYS = 1_100
_MAX_CONCURRENT_DAYS = 8
# Days between the start and the end of a user's events. A read of a sparse range takes a call for every 512 days.
MAX_EVENT_DAYS = 4_000
# Rows that a page of rejected events reads to find those with a rule.
_MAX_SCANNED = 5_000
# Bytes of events after which a page ends. Cloud Run limits a response to 32 MiB
# (https://cloud.google.com/run/quotas#request_limits), and base64 adds a third.
MAX_PAGE_BYTES = 16 * 2**20


class Tables(msgspec.Struct, frozen=True):
    """The tables that the endpoints read."""

    events: EventsTable
    rejected: RejectedTable
    aggregates: AggregatesTable
    state: StateTable
    lookback_days: int


class Endpoint(msgspec.Struct, frozen=True):
    """One path of the API.

    Attributes:
        summary: what it returns, for the description.
        answer: the type of the response's body.
        read: returns the body.
        version: returns what determines the body and is cheaper to read; None if only the body itself does.
    """

    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    answer: type[msgspec.Struct]
    read: Callable[[Tables, Arguments], Awaitable[Any]]
    version: Callable[[Tables, Arguments], Awaitable[bytes]] | None = None


async def _events(tables: Tables, arguments: Arguments) -> answers.Events:
    start: datetime | None = arguments["start"]
    end = arguments["end"] or datetime.combine(datetime.now(UTC).date(), time(), UTC) + timedelta(days=2)
    if start and not timedelta() <= end - start <= timedelta(days=MAX_EVENT_DAYS):
        expected = f"a time from start to {MAX_EVENT_DAYS:,} days after it"
        raise ProblemError.of_parameters([InvalidParameter("end", end.isoformat(), expected)])
    after = cursors.decode(Position, EVENTS.path, arguments)
    limit = arguments["limit"]
    # One more tells whether there is a next page.
    found = await tables.events.cells_of_user(arguments["user"], start, end, limit + 1, tables.lookback_days, after)
    page = found[: _within_bytes([len(cell.value) for cell in found[:limit]])]
    following = cursors.encode(Position.of(page[-1]), EVENTS.path, arguments) if len(page) < len(found) else None
    return answers.Events([msgspec.Raw(cell.value) for cell in page], following)


async def _value(tables: Tables, arguments: Arguments) -> answers.ValueOverDays:
    days = _days_of(arguments)
    partial = await _partial_days(tables, days)

    async def read(day: date) -> answers.DayMeasures:
        found = await tables.aggregates.of_value(arguments["dimension"], arguments["value"], day)
        return answers.DayMeasures(day, answers.measures(found), partial.get(day))

    found = await _each(days, read)
    return answers.ValueOverDays([each for each in found if each.measures])


async def _merged(tables: Tables, arguments: Arguments) -> answers.MergedMeasures:
    days = _days_of(arguments, MAX_MERGED_DAYS)
    names = arguments["dimension"], arguments["value"]
    span = await span_of_value(tables.aggregates, *names, days[0], days[-1])
    return answers.MergedMeasures(
        span.days, answers.measures(span.measures), answers.measures(span.unmerged), span.not_computed, span.partial
    )


async def _top(tables: Tables, arguments: Arguments) -> answers.Top:
    names, day = (arguments["dimension"], arguments["measure"]), arguments["day"]
    partial = await _partial_days(tables, [day])
    found = await tables.aggregates.top(*names, day, arguments["limit"])
    ranked = [answers.RankedValue(answers.readable(value), answers.measures(each)) for value, each in found]
    return answers.Top(ranked, partial.get(day))


async def _quality(tables: Tables, arguments: Arguments) -> answers.Quality:
    days = _days_of(arguments)
    partial = await _partial_days(tables, days)

    async def read(day: date) -> answers.DayQuality:
        found = dict(await tables.aggregates.of_day(RESERVED_DIMENSION, day))
        measures, warned, rejected = (found.get(value, {}) for value in ("all", "warned", "rejected"))
        return answers.DayQuality(day, measures, warned, rejected, partial.get(day))

    found = await _each(days, read)
    return answers.Quality([each for each in found if each.measures])


async def _runs_of(tables: Tables, arguments: Arguments) -> bytes:
    """Return the starts of the runs: nothing but a run writes the quality of a day."""
    days = _days_of(arguments)
    runs = await tables.state.runs(days[0], days[-1])
    return msgspec.json.encode([days[0], days[-1], {str(day): run.micros for day, run in sorted(runs.items())}])


async def _rejected(tables: Tables, arguments: Arguments) -> answers.RejectedPage:
    last = cursors.decode(bytes, REJECTED.path, arguments)
    rule, limit = arguments["rule"], arguments["limit"]
    found: list[answers.RejectedItem] = []
    size = scanned = 0
    stream = tables.rejected.of_day(arguments["day"], after=last)
    async for event in stream:
        if len(found) == limit or size > MAX_PAGE_BYTES or scanned == _MAX_SCANNED:
            await stream.aclose()
            return answers.RejectedPage(found, cursors.encode(last, REJECTED.path, arguments))
        last, scanned = event.row_key, scanned + 1
        if rule is None or rule in event.rules:
            found.append(answers.RejectedItem.of(event))
            size += len(event.raw)
    return answers.RejectedPage(found, None)


async def _days(tables: Tables, arguments: Arguments) -> answers.Days:
    days = _days_of(arguments)
    runs, late = await asyncio.gather(tables.state.runs(days[0], days[-1]), tables.state.late_days())
    states = [
        answers.DayState(day, answers.DayRun.of(runs[day], day) if day in runs else None, day in late) for day in days
    ]
    return answers.Days(states, late)


async def _partial_days(tables: Tables, days: Sequence[date]) -> dict[date, datetime]:
    """Return the horizons of partial runs; measures that are read afterwards are of the same runs or newer ones."""
    runs = await tables.state.runs(days[0], days[-1])
    return {day: until for day, run in runs.items() if (until := run.partial_until(day))}


def _days_of(arguments: Arguments, max_days: int = MAX_DAYS) -> list[date]:
    first, last = arguments["from"], arguments["to"]
    if not 0 <= (last - first).days < max_days:
        expected = f"a day from {first} on, at most {max_days:,} days in all"
        raise ProblemError.of_parameters([InvalidParameter("to", str(last), expected)])
    return list(days_between(first, last))


async def _each(days: Sequence[date], read: Callable[[date], Awaitable[T]]) -> list[T]:
    """Read days concurrently; the first error ends the other reads."""
    slots = asyncio.Semaphore(_MAX_CONCURRENT_DAYS)

    async def read_one(day: date) -> T:
        async with slots:
            return await read(day)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read_one(day)) for day in days]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _within_bytes(sizes: Sequence[int]) -> int:
    """Return how many events a page has: at least one, and no further one beyond `MAX_PAGE_BYTES`."""
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if number and total > MAX_PAGE_BYTES:
            return number
    return len(sizes)


_DIMENSION = parameters.text("dimension", "A dimension of the contract, such as user.", MAX_DIMENSION_BYTES)
_VALUE = parameters.text("value", "Its value; all for the whole day.", MAX_ROW_KEY_BYTES)
_DAYS = (
    parameters.day("from", "First day in UTC (inclusive)."),
    parameters.day("to", f"Last day in UTC (inclusive). A range has up to {MAX_DAYS} days."),
)

EVENTS = Endpoint(
    "/v1/events",
    "A user's events, newest first",
    (
        parameters.text("user", "The user.", MAX_ENCODED_USER_BYTES),
        parameters.moment("start", "Start of the range (inclusive). [the lookback of the settings]"),
        parameters.moment(
            "end",
            f"End of the range (exclusive), up to {MAX_EVENT_DAYS:,} days after start. [the end of tomorrow]",
        ),
        parameters.limit(100, MAX_EVENTS, "Maximum number of events; a page of large events has fewer."),
        parameters.cursor(),
    ),
    answers.Events,
    _events,
)
VALUE = Endpoint(
    "/v1/aggregates",
    "The measures of one value over days",
    (_DIMENSION, _VALUE, *_DAYS),
    answers.ValueOverDays,
    _value,
)
MERGED = Endpoint(
    "/v1/merged",
    "The measures of one value over a range of days as a whole",
    (
        _DIMENSION,
        _VALUE,
        parameters.day("from", "First day in UTC (inclusive)."),
        parameters.day("to", f"Last day in UTC (inclusive). A range has up to {MAX_MERGED_DAYS:,} days."),
    ),
    answers.MergedMeasures,
    _merged,
)
TOP = Endpoint(
    "/v1/top",
    "The values of a dimension that rank highest on a day",
    (
        _DIMENSION,
        parameters.text("measure", "The measure that ranks them.", MAX_QUALIFIER_BYTES),
        parameters.day("day", "The day in UTC."),
        parameters.limit(10, MAX_TOP, "Maximum number of values."),
    ),
    answers.Top,
    _top,
)
QUALITY = Endpoint("/v1/quality", "The quality of days", _DAYS, answers.Quality, _quality, _runs_of)
REJECTED = Endpoint(
    "/v1/rejected",
    "Rejected events with their findings",
    (
        parameters.day("day", "The day of first publication."),
        parameters.choice("rule", "Only events that broke this rule.", get_args(Rule)),
        parameters.limit(20, MAX_REJECTED, "Maximum number of events; a page may have fewer."),
        parameters.cursor(),
    ),
    answers.RejectedPage,
    _rejected,
)
DAYS = Endpoint("/v1/days", "The runs and the late marks of days", _DAYS, answers.Days, _days)

ENDPOINTS = {each.path: each for each in (EVENTS, VALUE, MERGED, TOP, QUALITY, REJECTED, DAYS)}
