"""The table `events`: a row for each user and day (or hour), a cell for each event, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import compress, islice
from typing import Any, TypeVar

import msgspec

from shared import row_keys
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.mutations import Entry, Mutations
from shared.bigtable.read_rows import Filter, Scan
from shared.bigtable.row_merger import Row
from shared.errors import OverloadedError
from shared.timestamps import EPOCH, days_between
from shared.validation.results import Accepted

T = TypeVar("T")

# Events to store, a future, and the result that the future gets when all of them are acknowledged.
StoreRequest = tuple[Sequence[Accepted], asyncio.Future[T], T]

FAMILY, FINDINGS = "e", "f"
MAX_DAYS_PER_SCAN = 512  # whose rows one request names; with hourly buckets that is 12,288 keys

_encode_findings = msgspec.json.Encoder().encode


class EventsTable:
    """Stores events and finds them again."""

    def __init__(self, bigtable: Bigtable, bucket: row_keys.Bucket) -> None:
        self._bigtable = bigtable
        self._bucket = bucket

    async def store(self, events: Sequence[Accepted]) -> None:
        """Store events, each in its own cell_key; returns when all of them are acknowledged."""
        await self._bigtable.write(EVENTS, self._changes(events))

    def begin_store(self, groups: Iterable[StoreRequest[T]]) -> None:
        """Begin to store the events of several callers, each of whom waits for his own."""
        plain: list[StoreRequest[T]] = []
        others: list[StoreRequest[T]] = []
        for group in groups:
            (others if any(event.warnings for event in group[0]) else plain).append(group)
        # An event in an entry of its own: so those of all callers are made at once, at an eighth of the cost.
        together = self._changes([event for events, _, _ in plain for event in events])
        entries = iter(together.entries_one_by_one())
        for events, done, result in plain:
            self._begin(list(islice(entries, len(events))), done, result)
        for events, done, result in others:  # an event and what was found about it are stored together
            self._begin(self._changes(events).entries(), done, result)

    def _begin(self, entries: Sequence[Entry], done: asyncio.Future[T], result: T) -> None:
        try:
            self._bigtable.begin_write(EVENTS, entries, done, result)
        except OverloadedError as error:
            done.set_exception(error)

    def _changes(self, events: Sequence[Accepted]) -> Mutations:
        mutations = Mutations()
        if events:
            cell_keys, values, warnings = zip(*events, strict=True)
            mutations.set_cells(FAMILY, cell_keys, values)
            if any(warnings):
                mutations.set_cells(
                    FINDINGS, list(compress(cell_keys, warnings)), list(map(_encode_findings, filter(None, warnings)))
                )
        return mutations

    async def of_user(
        self, user: str, start: datetime | None, end: datetime, limit: int | None, lookback_days: int
    ) -> list[bytes]:
        """Return a user's events within [start, end), newest first, as JSON.

        Args:
            user: as it is, not encoded.
            start: in UTC; None looks back as far as it takes to fill the limit, at most `lookback_days`.
            end: in UTC.
            limit: events at most; None for all.
            lookback_days: see `start`.
        """
        lookback = timedelta(days=lookback_days)
        floor = max(start, EPOCH) if start else end - lookback if end - EPOCH > lookback else EPOCH
        found: list[bytes] = []
        for first, last in _windows(floor, end, whole=limit is None):
            room = None if limit is None else limit - len(found)
            if room == 0:
                break
            found += await self._window(user, first, last, room)
        return found

    async def _window(self, user: str, start: datetime, end: datetime, limit: int | None) -> list[bytes]:
        """Read the rows of one window, which is some whole days or a part of one day."""
        last_day = (end - timedelta(microseconds=1)).date()
        rows = [
            key for day in days_between(start.date(), last_day) for key in row_keys.event_rows(user, day, self._bucket)
        ]
        scan = Scan(keys=rows, filter=_within(start, end, limit), reverse=True)
        found: list[bytes] = []
        stream = self._bigtable.read(EVENTS, scan)
        async for row in stream:
            found += [cell.value for cell in row.cells]
            if limit is not None and len(found) >= limit:
                await stream.aclose()
                return found[:limit]
        return found

    def of_shard(self, prefix: bytes) -> AsyncGenerator[list[Row]]:
        """Return the rows of one shard of a day, some at once, in the order of their keys, with all that was found."""
        return self._bigtable.read_batches(EVENTS, Scan.prefix(prefix))


def _windows(start: datetime, end: datetime, *, whole: bool) -> Iterator[tuple[datetime, datetime]]:
    """Cut [start, end) into windows, the newest first: days cut by a bound alone, whole days 1, 2, 4, 8 ... at a time.

    A read that wants everything (`whole`) takes as many days at once as one request should name rows.
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


def _within(start: datetime, end: datetime, limit: int | None) -> Any:
    """Return the filter that leaves a row's events within [start, end), at most `limit` of the newest."""
    parts = [Filter(family_name_regex_filter=FAMILY), Filter(cells_per_column_limit_filter=1)]
    cut = Filter()
    if end.time() != time():
        # Qualifiers count down: what is before `end` sorts behind every qualifier of `end` itself.
        latest = end - timedelta(microseconds=1)
        cut.column_range_filter.start_qualifier_closed = row_keys.qualifier_bound(latest)
    if start.time() != time():
        # Text with anything behind it sorts behind the text alone: "~" comes after "#".
        cut.column_range_filter.end_qualifier_open = row_keys.qualifier_bound(start) + b"~"
    if cut.HasField("column_range_filter"):
        cut.column_range_filter.family_name = FAMILY
        parts.append(cut)
    if limit is not None:
        parts.append(Filter(cells_per_row_limit_filter=limit))
    chain = Filter()
    chain.chain.filters.extend(parts)
    return chain
