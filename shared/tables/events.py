"""The table `events`: a row per user and day (or hour), a cell per event, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import compress, islice
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from shared import row_keys
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.mutations import Entry, Mutations
from shared.bigtable.read_rows import Filter, Scan
from shared.bigtable.row_merger import Row
from shared.errors import OverloadedError
from shared.row_keys import CellKey
from shared.timestamps import EPOCH, days_between
from shared.validation.results import Accepted, StoredFindings

T = TypeVar("T")

# Events to store, a future, and the result that the future gets when all of them are acknowledged.
StoreRequest = tuple[Sequence[Accepted], asyncio.Future[T], T]

FAMILY, FINDINGS = "e", "f"
MAX_DAYS_PER_SCAN = 512  # one request lists their row keys: 12,288 with hourly buckets

_encode_findings = msgspec.json.Encoder().encode


class EventsTable:
    """Writes and reads events."""

    def __init__(self, bigtable: Bigtable, bucket: row_keys.Bucket) -> None:
        self._bigtable = bigtable
        self._bucket = bucket

    async def store(self, events: Sequence[Accepted]) -> None:
        """Write events; return when Bigtable has acknowledged all of them."""
        await self._bigtable.write(EVENTS, self._mutations(events))

    def begin_store(self, requests: Iterable[StoreRequest[T]]) -> None:
        """Begin to write the events of several callers; each waits for its own events only."""
        plain: list[StoreRequest[T]] = []
        others: list[StoreRequest[T]] = []
        for request in requests:
            (others if any(event.warnings for event in request[0]) else plain).append(request)
        # One entry per event: the entries of all callers are encoded at once, at an eighth of the cost.
        mutations = self._mutations([event for events, _, _ in plain for event in events])
        entries = iter(mutations.single_entries())
        for events, done, result in plain:
            self._begin(list(islice(entries, len(events))), done, result)
        for events, done, result in others:  # an event and its findings belong in one entry
            self._begin(self._mutations(events).entries(), done, result)

    def _begin(self, entries: Sequence[Entry], done: asyncio.Future[T], result: T) -> None:
        try:
            self._bigtable.begin_write(EVENTS, entries, done, result)
        except OverloadedError as error:
            done.set_exception(error)

    def _mutations(self, events: Sequence[Accepted]) -> Mutations:
        mutations = Mutations()
        if events:
            cell_keys, values, warnings = zip(*events, strict=True)
            mutations.set_cells(FAMILY, cell_keys, values)
            if any(warnings):
                findings = [
                    _encode_findings(StoredFindings(crc32(value), found))
                    for value, found in zip(values, warnings, strict=True)
                    if found
                ]
                mutations.set_cells(FINDINGS, list(compress(cell_keys, warnings)), findings)
        return mutations

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
        rows = await self._rows_of_user(user, start, end, limit, lookback_days, b"")
        return [value for row in rows for value in row.values][:limit]

    async def cells_of_user(
        self, user: str, end: datetime, limit: int, lookback_days: int, *, after: bytes = b""
    ) -> list[tuple[CellKey, bytes]]:
        """Return a user's newest events before `end`, newest first, as cell keys and JSON.

        Args:
            user: not encoded.
            end: in UTC, exclusive.
            limit: number of events.
            lookback_days: how far to look back from the end.
            after: a qualifier of the day before `end`; the events begin with the one that follows it.
        """
        rows = await self._rows_of_user(user, None, end, limit, lookback_days, after)
        cells = [
            (CellKey(row.key, qualifier, micros), value)
            for row in rows
            for qualifier, micros, value in zip(row.qualifiers, row.micros, row.values, strict=True)
        ]
        return cells[:limit]

    async def _rows_of_user(
        self, user: str, start: datetime | None, end: datetime, limit: int | None, lookback_days: int, after: bytes
    ) -> list[Row]:
        """Return rows with a user's newest events in [start, end) that follow the qualifier `after` of the last day.

        The last row may have more events than the limit.
        """
        lookback = timedelta(days=lookback_days)
        floor = max(start, EPOCH) if start else end - lookback if end - EPOCH > lookback else EPOCH
        found: list[Row] = []
        room = limit
        for first, last in _windows(floor, end, whole=limit is None):
            if room is not None and room <= 0:
                break
            rows = await self._window(user, first, last, room, after)
            found += rows
            room = None if room is None else room - sum(len(row.values) for row in rows)
            after = b""
        return found

    async def _window(self, user: str, start: datetime, end: datetime, limit: int | None, after: bytes) -> list[Row]:
        """Return rows with the events of one window: several whole days, or a part of one day."""
        last_day = (end - timedelta(microseconds=1)).date()
        rows = [
            key for day in days_between(start.date(), last_day) for key in row_keys.event_rows(user, day, self._bucket)
        ]
        scan = Scan(keys=rows, filter=_within(start, end, limit, after), reverse=True)
        found: list[Row] = []
        count = 0
        stream = self._bigtable.read(EVENTS, scan)
        async for row in stream:
            found.append(row)
            count += len(row.values)
            if limit is not None and count >= limit:
                await stream.aclose()
                break
        return found

    def of_shard(self, prefix: bytes) -> AsyncGenerator[list[Row]]:
        """Yield the rows of one shard of a day in batches, in key order, with findings."""
        return self._bigtable.read_batches(EVENTS, Scan.prefix(prefix))


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


def _within(start: datetime, end: datetime, limit: int | None, after: bytes = b"") -> Any:
    """Return the filter of a row's events in [start, end) that follow `after`, at most `limit` of the newest."""
    parts = [Filter(family_name_regex_filter=FAMILY), Filter(cells_per_column_limit_filter=1)]
    cut = Filter()
    if after:
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
