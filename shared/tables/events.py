"""The table `events`: a row per user and day (or hour), a cell per event, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import compress, islice
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from shared import row_keys
from shared.bigtable.cell_entries import cell_entries
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.mutations import Entry, Mutations
from shared.bigtable.read_rows import Scan
from shared.bigtable.row_merger import Cell, Row
from shared.errors import OverloadedError
from shared.timestamps import EPOCH, MICROSECONDS_PER_DAY, days_between
from shared.validation.results import Accepted, AcceptedColumns, StoredFindings

T = TypeVar("T")

# Events to store, a future, and the result that the future gets when all of them are acknowledged.
StoreRequest = tuple[Sequence[Accepted], asyncio.Future[T], T]

FAMILY, FINDINGS = "e", "f"
# Bytes from which a row is reported. Bigtable recommends at most 100 MB, and can't read a row of over 256 MB at once
# (https://cloud.google.com/bigtable/quotas#limits).
LARGE_ROW_BYTES = 50_000_000
# Rows with fewer cells aren't measured. A received event has at most 1 MiB, and the stored one isn't twice as long.
_MIN_LARGE_ROW_CELLS = 20
MAX_DAYS_PER_SCAN = 512  # one request lists their row keys: 12,288 with hourly buckets


class LargeRow(NamedTuple):
    """A row whose values exceed `LARGE_ROW_BYTES`; its key is text, since it is percent-encoded."""

    row: str
    bytes: int


class Position(NamedTuple):
    """The place of an event among its user's events, which are read newest first.

    Attributes:
        day: number of its day since 1970.
        qualifier: of its cell.
    """

    day: int
    qualifier: bytes

    @classmethod
    def of(cls, cell: Cell) -> Position:
        """Return the position of the event in a cell."""
        return cls(cell.micros // MICROSECONDS_PER_DAY, cell.qualifier)


# Events of a row from which on grouping them pays.
_MIN_EVENTS_PER_ROW = 2

_encode_findings = msgspec.json.Encoder().encode


class EventsTable:
    """Writes and reads events."""

    def __init__(self, bigtable: Bigtable, bucket: row_keys.Bucket) -> None:
        self._bigtable = bigtable
        self._bucket = bucket

    async def store(self, events: AcceptedColumns) -> None:
        """Write events; return when Bigtable has acknowledged all of them."""
        if _belong_together(events):
            await self._bigtable.write(EVENTS, _mutations(events))
        else:
            await self._bigtable.write_entries(EVENTS, _entries(events))

    def begin_store(self, requests: Iterable[StoreRequest[T]]) -> None:
        """Begin to write the events of several callers; each waits for its own events only."""
        plain: list[StoreRequest[T]] = []
        for events, done, result in requests:
            single = len(events) == 1 and not events[0].warnings  # nearly always
            columns = None if single else AcceptedColumns.of(events)
            if columns is not None and _belong_together(columns):
                self._begin(_mutations(columns).entries(), done, result)
            else:
                plain.append((events, done, result))
        # The entries of all callers are encoded at once, at an eighth of the cost.
        entries = iter(_entries(AcceptedColumns.of([event for events, _, _ in plain for event in events])))
        for events, done, result in plain:
            self._begin(list(islice(entries, len(events))), done, result)

    def _begin(self, entries: Sequence[Entry], done: asyncio.Future[T], result: T) -> None:
        try:
            self._bigtable.begin_write(EVENTS, entries, done, result)
        except OverloadedError as error:
            done.set_exception(error)

    async def of_user(
        self, user: str, start: datetime | None, end: datetime, limit: int | None, lookback_days: int
    ) -> list[bytes]:
        """Return a user's events in [start, end), newest first, as JSON.

        Args:
            user: not encoded.
            start: in UTC; None looks back until the limit is reached, at most `lookback_days`.
            end: in UTC.
            limit: number of events; None for all.
            lookback_days: see `start`.
        """
        return [cell.value for cell in await self.cells_of_user(user, start, end, limit, lookback_days)]

    async def cells_of_user(
        self,
        user: str,
        start: datetime | None,
        end: datetime,
        limit: int | None,
        lookback_days: int,
        after: Position | None = None,
    ) -> list[Cell]:
        """Return the cells of a user's events, with the arguments of `of_user`.

        Args:
            user, start, end, limit, lookback_days: see `of_user`.
            after: return only the events that follow this one.
        """
        lookback = timedelta(days=lookback_days)
        floor = max(start, EPOCH) if start else end - lookback if end - EPOCH > lookback else EPOCH
        found: list[Cell] = []
        if after is not None:
            midnight = EPOCH + timedelta(days=after.day)
            end = min(end, midnight + timedelta(days=1))
            first = max(floor, midnight)
            if first < end:
                found = await self._window(user, first, end, limit, after.qualifier)
                end = first
        for first, last in _windows(floor, end, whole=limit is None):
            room = None if limit is None else limit - len(found)
            if room == 0:
                break
            found += await self._window(user, first, last, room)
        return found

    async def _window(
        self, user: str, start: datetime, end: datetime, limit: int | None, after: bytes | None = None
    ) -> list[Cell]:
        """Return the cells of one window: several whole days, or a part of one day from the qualifier `after` on."""
        last_day = (end - timedelta(microseconds=1)).date()
        rows = [
            key for day in days_between(start.date(), last_day) for key in row_keys.event_rows(user, day, self._bucket)
        ]
        scan = Scan(keys=rows, filter=_within(start, end, limit, after), reverse=True)
        found: list[Cell] = []
        stream = self._bigtable.read(EVENTS, scan)
        async for row in stream:
            found += row.cells
            if limit is not None and len(found) >= limit:
                await stream.aclose()
                return found[:limit]
        return found

    def of_shard(self, prefix: bytes) -> AsyncGenerator[list[Row]]:
        """Yield the rows of one shard of a day in batches, in key order, with findings."""
        return self._bigtable.read_batches(EVENTS, Scan.prefix(prefix))

    def of_range(self, start: bytes, end: bytes) -> AsyncGenerator[list[Row]]:
        """Yield the rows of one of the `ranges` of a day like `of_shard`."""
        return self._bigtable.read_batches(EVENTS, Scan(ranges=[(start, end)]))

    async def ranges(self, day: date) -> list[tuple[bytes, bytes]]:
        """Return key ranges of about the same size that together hold the rows of a day, each with whole users."""
        return row_keys.split_day(day, await self._bigtable.sample_row_keys(EVENTS))


def _belong_together(events: AcceptedColumns) -> bool:
    """Return whether events of a row have to be in one entry, or fewer entries save more than grouping costs.

    An event and its findings are stored together, and the last of several events with the same cell key has to win:
    Bigtable applies the mutations of an entry in order, but entries in any order.
    """
    count, rows = len(events.row_keys), len(set(events.row_keys))
    if any(events.warnings) or rows <= count // _MIN_EVENTS_PER_ROW:
        return True
    return rows < count and len(set(zip(events.row_keys, events.qualifiers, strict=True))) < count


def _entries(events: AcceptedColumns) -> list[Entry]:
    """Return an entry for each event; none of them has warnings."""
    return cell_entries(FAMILY, events.row_keys, events.qualifiers, events.micros, events.values)


def _mutations(events: AcceptedColumns) -> Mutations:
    mutations = Mutations()
    cell_keys = list(events.cell_keys())
    mutations.set_cells(FAMILY, cell_keys, events.values)
    findings = [
        _encode_findings(StoredFindings(crc32(value), found))
        for value, found in zip(events.values, events.warnings, strict=True)
        if found
    ]
    mutations.set_cells(FINDINGS, list(compress(cell_keys, events.warnings)), findings)
    return mutations


def large_rows(rows: Iterable[Row]) -> Iterator[LargeRow]:
    """Yield those of some rows that exceed `LARGE_ROW_BYTES`."""
    for row in rows:
        if len(row.values) >= _MIN_LARGE_ROW_CELLS and (size := sum(map(len, row.values))) > LARGE_ROW_BYTES:
            yield LargeRow(row.key.decode(), size)


def _windows(start: datetime, end: datetime, *, whole: bool) -> Iterator[tuple[datetime, datetime]]:
    """Yield windows of [start, end), newest first: partial days alone, whole days in windows of 1, 2, 4, 8 ... days.

    A read without a limit (`whole`) gets windows of `MAX_DAYS_PER_SCAN` days.
    """
    days = MAX_DAYS_PER_SCAN if whole else 1
    while start < end:
        midnight = datetime.combine(end.date(), time(), UTC)
        if midnight < end:
            first = max(start, midnight)
        elif end - start < timedelta(days=1):
            first = start
        else:
            most = (end - start).days
            first = end - timedelta(days=min(days, most))
            days = min(days * 2, MAX_DAYS_PER_SCAN)
        yield first, end
        end = first


def _within(start: datetime, end: datetime, limit: int | None, after: bytes | None = None) -> Any:
    """Return the filter of a row's events in [start, end), at most `limit` of the newest that follow `after`."""
    from shared.bigtable.bigtable_pb2 import RowFilter as Filter  # late: see `wire_format`

    parts = [Filter(family_name_regex_filter=FAMILY), Filter(cells_per_column_limit_filter=1)]
    cut = Filter()
    if after is not None:
        cut.column_range_filter.start_qualifier_open = after
    elif end.time() != time():
        # Qualifiers count down, so the first event before `end` sorts after every qualifier of `end`.
        latest = end - timedelta(microseconds=1)
        cut.column_range_filter.start_qualifier_closed = row_keys.qualifier_bound(latest)
    if start.time() != time():
        # "~" sorts after "#", so the bound includes every event of `start`.
        cut.column_range_filter.end_qualifier_open = row_keys.qualifier_bound(start) + b"~"
    if cut.HasField("column_range_filter"):
        cut.column_range_filter.family_name = FAMILY
        parts.append(cut)
    if limit is not None:
        parts.append(Filter(cells_per_row_limit_filter=limit))
    chain = Filter()
    chain.chain.filters.extend(parts)
    return chain
