"""The tables for scripts and notebooks: plain calls that block, on the same code the functions run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.contracts.model import RESERVED_DIMENSION
from shared.errors import EventRejectedError
from shared.ingest.pipeline import IngestPipeline
from shared.row_keys import MAX_DIMENSION_BYTES, MAX_QUALIFIER_BYTES, encode
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable
from shared.tables.state import StateTable
from shared.timestamps import utc
from shared.validation.results import Rejected
from shared.validation.validator import Validator

T = TypeVar("T")


class BigTableClient:
    """Writes and reads events and aggregates of one Bigtable instance.

    It can be used from any thread, also from one in which an event loop is running, such as a notebook's: the work is
    done in a thread of its own. Naive datetimes are taken as UTC.

    >>> client = BigTableClient(project_id="your-project-id", instance_id="your-instance-id")
    """

    def __init__(
        self, project_id: str | None = None, instance_id: str | None = None, *, settings: Settings | None = None
    ) -> None:
        """Prepare a client; the connection is made by the first call.

        Args:
            project_id: Google Cloud project; `GCP_PROJECT_ID` by default.
            instance_id: Bigtable instance; `BIGTABLE_INSTANCE` by default.
            settings: all settings at once, instead of those of the environment.

        Raises:
            SettingsError, ContractError: a setting or the contract is missing or wrong.
        """
        self._settings = settings or Settings.from_environment(project_id=project_id, instance_id=instance_id)
        self._contract = load_contract(self._settings.contract)
        self._validator = Validator(self._contract.of_canonical_events())
        self._bigtable = Bigtable(self._settings)
        self._ingestion = IngestPipeline(self._bigtable, self._contract)
        self._events = EventsTable(self._bigtable, self._contract.bucket)
        self._rollups = AggregatesTable(self._bigtable, StateTable(self._bigtable))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def write_event(self, user_id: str, event_id: str, event_data: Mapping[str, Any]) -> None:
        """Store one event; returns when Bigtable has acknowledged it. The same event again mutations nothing.

        Args:
            user_id: whose event it is.
            event_id: what tells it from all others of that user and day; for an id of several fields, these joined
                with colons.
            event_data: the event under the contract's names. Without its time it is taken to happen now, and writing
                it again makes a second event.

        Raises:
            EventRejectedError: it fails a check of the contract; nothing is stored.
            StoreUnavailableError, StoreRefusedError: it isn't stored.
        """
        contract = self._contract
        published = datetime.now(UTC)
        if not isinstance(event_data, Mapping):
            raise TypeError(f"event_data: found {type(event_data).__name__}, expected a mapping")
        record = dict(event_data)
        self._identify(record, (contract.user,), user_id)
        self._identify(record, contract.id, event_id)
        moment = record.get(contract.time, published)
        record[contract.time] = utc(moment).isoformat() if isinstance(moment, datetime) else moment
        try:
            raw = msgspec.json.encode(record)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EventRejectedError(
                f"event_data: found what JSON can't hold ({error}), expected JSON values"
            ) from None
        verdict = self._validator.validate(raw, published)
        if isinstance(verdict, Rejected):
            raise EventRejectedError(
                "; ".join(
                    f"{each.field or 'event_data'}: {each.rule}: found {each.found}, expected {each.expected}"
                    for each in verdict.findings
                )
            )
        self._run(self._ingestion.store([verdict], published, "write_event"))

    def get_user_events(
        self,
        user_id: str,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return a user's events, newest first.

        Args:
            user_id: whose events.
            start_time: of the first moment; without it the search goes back until the limit is filled, at most as
                many days as `SLUICE_LOOKBACK_DAYS` says (400).
            end_time: of the first moment that isn't wanted any more; by default a day from now, so that events from
                clocks ahead of ours are found.
            limit: events at most.

        Raises:
            TypeError, ValueError: an argument isn't what it should be.
        """
        _text("user_id", user_id)
        if limit is not None and limit < 0:
            raise ValueError(f"limit: found {limit}, expected 0 or more")
        tomorrow = datetime.combine(datetime.now(UTC).date(), time(), UTC) + timedelta(days=2)
        start, end = None if start_time is None else utc(start_time), tomorrow if end_time is None else utc(end_time)
        if start is not None and end_time is not None and end < start:
            raise ValueError(f"end_time: found {end_time}, expected a time after start_time, which is {start_time}")
        found = self._run(self._events.of_user(user_id, start, end, limit, self._settings.lookback_days))
        return [msgspec.json.decode(event) for event in found]

    def write_aggregate(self, dimension: str, dimension_value: str, date: date, stats: Mapping[str, Any]) -> None:
        """Put figures in by hand; they stay until a run of that day writes the same value.

        Args:
            dimension: such as "user".
            dimension_value: such as a user's id.
            date: the day, in UTC.
            stats: the figures by name, anything JSON holds.

        Raises:
            TypeError, ValueError: a name is empty, too long or begins with "_", which is kept for our own, or a figure
                is nothing that JSON gives back as it was.
        """
        _name("dimension", dimension, MAX_DIMENSION_BYTES)
        if dimension == RESERVED_DIMENSION:
            raise ValueError(f"dimension: found {dimension!r}, which is reserved, expected another name")
        _text("dimension_value", dimension_value)
        for name, figure in stats.items():
            _name("stats", name, MAX_QUALIFIER_BYTES)
            _figure(name, figure)
        self._run(self._rollups.write_by_hand(dimension, dimension_value, _day(date), stats))

    def get_daily_aggregates(self, dimension: str, dimension_value: str, date: date) -> dict[str, Any]:
        """Return the figures of one value on one day; empty where there are none.

        Args:
            dimension: as the contract names it, such as "user".
            dimension_value: such as a user's id; "all" for the whole day.
            date: the day, in UTC.
        """
        return self._run(self._rollups.of_value(dimension, dimension_value, _day(date)))

    def get_top(self, dimension: str, measure: str, date: date, limit: int = 10) -> list[tuple[str, dict[str, Any]]]:
        """Return the values with the highest figures of a measure on a day, with all their figures, highest first."""
        return self._run(self._rollups.top(dimension, measure, _day(date), limit))

    def close(self) -> None:
        """End the connection; a later call would make a new one."""
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

    def _identify(self, record: dict[str, Any], names: tuple[str, ...], value: str) -> None:
        """Put the id or user into the event, each part as the type its field has."""
        parts = [value] if len(names) == 1 else str(value).split(":")
        if len(parts) != len(names):
            raise EventRejectedError(f"event_id: found {value!r}, expected {' and '.join(names)} joined with ':'")
        for name, part in zip(names, parts, strict=True):
            number = self._contract.field(name).type == "integer" and isinstance(part, str)
            given = int(part) if number and part.removeprefix("-").isdecimal() else part
            if record.setdefault(name, given) != given:
                raise EventRejectedError(f"{name}: found {record[name]!r} in event_data, expected {given!r} as given")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=(self._loop,), name="sluice-client", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _day(day: date) -> date:
    if not isinstance(day, date):
        raise TypeError(f"date: found {day!r}, expected a date or a datetime")
    return utc(day).date() if isinstance(day, datetime) else day


def _text(argument: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{argument}: found {value!r}, expected text")


def _name(argument: str, name: str, most: int) -> None:
    _text(argument, name)
    if not name or name.startswith("_") or len(encode(name)) > most:
        expected = f"a name of at most {most} bytes percent-encoded that isn't empty and doesn't begin with '_'"
        raise ValueError(f"{argument}: found {name[:80]!r}, expected {expected}")


def _figure(name: str, figure: Any) -> None:
    """Refuse what would come back as something else, such as NaN, a tuple or a Decimal."""
    try:
        back = msgspec.json.decode(msgspec.json.encode(figure))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"stats: {name}: {error}; expected JSON values") from None
    if back != figure:
        raise ValueError(f"stats: {name}: found {figure!r}, which would come back as {back!r}, expected JSON values")
