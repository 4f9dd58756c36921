"""A blocking client of the tables for scripts and notebooks, on the same code as the functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from shared.aggregate.spans import Span, span_of_value
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.contracts.model import RESERVED_DIMENSION
from shared.errors import EventRejectedError
from shared.ingest.pipeline import IngestPipeline
from shared.row_keys import MAX_DIMENSION_BYTES, MAX_QUALIFIER_BYTES, encode
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable
from shared.tables.state import Run, StateTable
from shared.timestamps import utc
from shared.validation.results import Rejected
from shared.validation.validator import Validator

T = TypeVar("T")


class BigTableClient:
    """Writes and reads events and aggregates of one Bigtable instance.

    Every thread can use it, also one with a running event loop such as a notebook's: the client has a thread of its
    own. Naive datetimes are taken as UTC.

    >>> client = BigTableClient(project_id="your-project-id", instance_id="your-instance-id")
    """

    def __init__(
        self,
        project_id: str | None = None,
        instance_id: str | None = None,
        *,
        name: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Prepare a client; the first call connects.

        Args:
            project_id: Google Cloud project; `GCP_PROJECT_ID` by default.
            instance_id: Bigtable instance; `BIGTABLE_INSTANCE` by default.
            name: the pipeline; `SLUICE_NAME` by default, else sluice.
            settings: all settings, instead of those of the environment.

        Raises:
            SettingsError, ContractError: a setting or the contract is missing or invalid.
        """
        self._settings = settings or Settings.from_environment(
            project_id=project_id, instance_id=instance_id, name=name
        )
        self._contract = load_contract(self._settings.contract, self._settings.mask_key)
        types = {self._contract.field(name).type for name in self._contract.id}
        self._ids_in_data = not types or not types <= {"string", "integer"}
        self._validator = Validator(self._contract.of_canonical_events())
        self._bigtable = Bigtable(self._settings)
        self._pipeline = IngestPipeline(self._bigtable, self._contract)
        self._events = EventsTable(self._bigtable, self._contract.bucket)
        self._state = StateTable(self._bigtable)
        self._aggregates = AggregatesTable(self._bigtable, self._state)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def write_event(self, user_id: str, event_id: str, event_data: Mapping[str, Any]) -> None:
        """Store one event, and return when Bigtable has acknowledged it. Storing the same event again has no effect.

        Args:
            user_id: the event's user.
            event_id: the event's id, unique for its user and day; an id of several fields is their values joined with
                colons. Empty if the id is a digest, or has fields of other types than string and integer: `event_data`
                then has all of it.
            event_data: the event under the contract's names. Its time defaults to the current time, and writing an
                event without a time twice stores two events.

        Raises:
            EventRejectedError: the event breaks the contract; nothing is stored.
            StoreUnavailableError, StoreRefusedError: the event isn't stored.
        """
        contract = self._contract
        published = datetime.now(UTC)
        if not isinstance(event_data, Mapping):
            raise TypeError(f"event_data: found {type(event_data).__name__}, expected a mapping")
        record = dict(event_data)
        self._set_fields(record, (contract.user,), user_id)
        if self._ids_in_data:
            self._check_no_id(event_id)
        else:
            self._set_fields(record, contract.id, event_id)
        moment = record.get(contract.time, published)
        record[contract.time] = utc(moment).isoformat() if isinstance(moment, datetime) else moment
        try:
            raw = msgspec.json.encode(record)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EventRejectedError(
                f"event_data: found a value that JSON can't represent ({error}), expected JSON values"
            ) from None
        verdict = self._validator.validate(raw, published)
        if isinstance(verdict, Rejected):
            raise EventRejectedError(
                "; ".join(
                    f"{each.field or 'event_data'}: {each.rule}: found {each.found}, expected {each.expected}"
                    for each in verdict.findings
                )
            )
        self._run(self._pipeline.store([verdict], published, "write_event"))

    def get_user_events(
        self,
        user_id: str,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return a user's events, newest first.

        Args:
            user_id: the events' user; a contract that masks it takes both the plain and the masked user.
            start_time: start of the range (inclusive); by default the search goes back until it has found `limit`
                events or covered the days of `SLUICE_LOOKBACK_DAYS` (400).
            end_time: end of the range (exclusive); by default the end of tomorrow, to include events of producers whose
                clocks are ahead.
            limit: maximum number of events.

        Raises:
            TypeError, ValueError: an argument is invalid.
        """
        _check_text("user_id", user_id)
        if limit is not None and limit < 0:
            raise ValueError(f"limit: found {limit}, expected 0 or more")
        end_of_tomorrow = datetime.combine(datetime.now(UTC).date(), time(), UTC) + timedelta(days=2)
        start = None if start_time is None else utc(start_time)
        end = end_of_tomorrow if end_time is None else utc(end_time)
        if start is not None and end_time is not None and end < start:
            raise ValueError(f"end_time: found {end_time}, expected a time after start_time, which is {start_time}")
        user = self._validator.stored_user(user_id)
        found = self._run(self._events.of_user(user, start, end, limit, self._settings.lookback_days))
        return [msgspec.json.decode(event) for event in found]

    def write_aggregate(self, dimension: str, dimension_value: str, date: date, stats: Mapping[str, Any]) -> None:
        """Write measures of one value; they stay until a run of that day writes the same value.

        Args:
            dimension: the dimension, such as "user".
            dimension_value: its value, such as a user's id.
            date: the day in UTC.
            stats: JSON values by the measure's name.

        Raises:
            TypeError, ValueError: a name is empty, too long or begins with "_", which is reserved, or JSON can't
                represent a value exactly.
        """
        _check_name("dimension", dimension, MAX_DIMENSION_BYTES)
        if dimension == RESERVED_DIMENSION:
            raise ValueError(f"dimension: found {dimension!r}, which is reserved, expected another name")
        _check_text("dimension_value", dimension_value)
        for name, measured in stats.items():
            _check_name("stats", name, MAX_QUALIFIER_BYTES)
            _check_json(name, measured)
        self._run(self._aggregates.write_by_hand(dimension, dimension_value, _day(date), stats))

    def get_daily_aggregates(self, dimension: str, dimension_value: str, date: date) -> dict[str, Any]:
        """Return the measures of one value on one day; empty where there are none.

        Args:
            dimension: a dimension of the contract, such as "user".
            dimension_value: its value, such as a user's id; "all" for the whole day.
            date: the day in UTC.
        """
        return self._run(self._aggregates.of_value(dimension, dimension_value, _day(date)))

    def get_merged_aggregates(self, dimension: str, dimension_value: str, first_date: date, last_date: date) -> Span:
        """Return the measures of one value over a range of days as a whole, such as the distinct users of a month.

        Args:
            dimension: a dimension of the contract, such as "user".
            dimension_value: its value, such as a user's id; "all" for the whole day.
            first_date: the first day in UTC (inclusive).
            last_date: the last day in UTC (inclusive).
        """
        first, last = _day(first_date), _day(last_date)
        if last < first:
            raise ValueError(f"last_date: found {last}, expected {first}, which is first_date, or a later day")
        return self._run(span_of_value(self._aggregates, dimension, dimension_value, first, last))

    def get_top(self, dimension: str, measure: str, date: date, limit: int = 10) -> list[tuple[str, dict[str, Any]]]:
        """Return the dimension's values that rank highest in a measure on a day, each with all its measures."""
        return self._run(self._aggregates.top(dimension, measure, _day(date), limit))

    def get_runs(self, first_date: date, last_date: date) -> dict[date, Run]:
        """Return the run of each day that has one; `run.partial_until(day)` says up to when an unfinished day counts.

        Args:
            first_date: the first day in UTC (inclusive).
            last_date: the last day in UTC (inclusive).
        """
        return self._run(self._state.runs(_day(first_date), _day(last_date)))

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._bigtable.close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_no_id(self, event_id: str) -> None:
        if event_id:
            fields = " and ".join(self._contract.id) or "the digest of the event"
            raise EventRejectedError(f"event_id: found {event_id!r}, expected '', since the id is {fields}")

    def _set_fields(self, record: dict[str, Any], names: tuple[str, ...], value: str) -> None:
        """Add the id or the user to the event, each part with the type of its field."""
        parts = [value] if len(names) == 1 else str(value).split(":")
        if len(parts) != len(names):
            raise EventRejectedError(f"event_id: found {value!r}, expected {' and '.join(names)} joined with ':'")
        for name, part in zip(names, parts, strict=True):
            is_integer = self._contract.field(name).type == "integer" and isinstance(part, str)
            expected = int(part) if is_integer and part.removeprefix("-").isdecimal() else part
            found = record.setdefault(name, expected)
            if found != expected:
                raise EventRejectedError(f"{name}: found {found!r} in event_data, expected the argument {expected!r}")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run_loop, args=(self._loop,), name="sluice-client", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _day(day: date) -> date:
    if not isinstance(day, date):
        raise TypeError(f"date: found {day!r}, expected a date or a datetime")
    return utc(day).date() if isinstance(day, datetime) else day


def _check_text(argument: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{argument}: found {value!r}, expected text")


def _check_name(argument: str, name: str, max_bytes: int) -> None:
    _check_text(argument, name)
    if not name or name.startswith("_") or len(encode(name)) > max_bytes:
        expected = f"a name of at most {max_bytes} bytes percent-encoded that isn't empty and doesn't begin with '_'"
        raise ValueError(f"{argument}: found {name[:80]!r}, expected {expected}")


def _check_json(name: str, measured: Any) -> None:
    """Raise ValueError for a value that JSON would change, such as NaN, a tuple or a Decimal."""
    try:
        decoded = msgspec.json.decode(msgspec.json.encode(measured))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"stats: {name}: {error}; expected JSON values") from None
    if decoded != measured:
        raise ValueError(f"stats: {name}: found {measured!r}, which JSON changes to {decoded!r}, expected JSON values")
