"""The table `aggregates`: one row for each value of a dimension and day. Readers see exactly one whole run.

All cells of a run have its start as their timestamp. The day's marker in `state`, written last, names the run that
readers see. They ignore cells with other timestamps, and the sweep after a later run deletes these. A row written
manually has a marker column beside its measures: it is visible without a run, and the sweep keeps it until a run writes
the same row.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from shared import row_keys
from shared.bigtable.client import AGGREGATES, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Filter, Scan
from shared.bigtable.row_merger import Row
from shared.errors import StoreUnavailableError
from shared.tables.state import Run, StateTable
from shared.timestamps import days_between

FAMILY = "a"
BY_HAND = b"_by_hand"

# Rows in one write: enough to fill a call, few enough to bound the memory of a day with a million users.
_ROWS_PER_WRITE = 2_000
# Concurrent writes of one run.
_MAX_CONCURRENT_WRITES = 2
# Attempts to read while runs finish concurrently; a run takes far longer than a read.
_MAX_READ_ATTEMPTS = 5

# Rows that a ranking keeps beyond its limit before it drops all but the highest.
_RANKED_AT_ONCE = 1_000

Measures = dict[str, Any]
_Row = tuple[str, Measures]

_encode = msgspec.json.Encoder().encode


class RunWriter:
    """Writes the measures of a run, which readers see once the run is finished.

    Attributes:
        rows: number of rows written.
    """

    def __init__(self, bigtable: Bigtable, day: date, started: datetime) -> None:
        self._bigtable = bigtable
        self._day = day
        self.micros = _micros(started)
        self._write_slots = asyncio.Semaphore(_MAX_CONCURRENT_WRITES)
        self.rows = 0

    async def write(self, rows: Iterable[tuple[str, str, Measures]]) -> None:
        """Write (dimension, value, measures); return when all are stored, which limits the pace of the caller."""
        remaining = iter(rows)
        while chunk := list(islice(remaining, _ROWS_PER_WRITE)):
            async with self._write_slots:
                mutations = Mutations()
                keyed = [
                    (row_keys.aggregate_row(dimension, self._day, value), measures)
                    for dimension, value, measures in chunk
                ]
                _set_measures(mutations, self.micros, keyed)
                await self._bigtable.write(AGGREGATES, mutations)
            self.rows += len(chunk)


class AggregatesTable:
    """Writes and reads aggregates."""

    def __init__(self, bigtable: Bigtable, state: StateTable) -> None:
        self._bigtable = bigtable
        self._state = state

    def begin(self, day: date, started: datetime) -> RunWriter:
        """Return the writer of a run with this start."""
        return RunWriter(self._bigtable, day, started)

    async def sweep(self, day: date, dimensions: Iterable[str]) -> int:
        """Delete cells older than the current run; return the number of rows affected.

        Newer cells stay: they belong to an unfinished run.
        """
        run = await self._state.run(day)
        if run is None:
            return 0
        swept = 0
        mutations = Mutations()
        for dimension in sorted({*dimensions, *run.dimensions}):
            scan = Scan.prefix(row_keys.aggregate_prefix(dimension, day), filter=_older_than(run.micros))
            async for row in self._bigtable.read(AGGREGATES, scan):
                if BY_HAND in row.qualifiers:
                    swept += await self._sweep_manual_row(row.key, run.micros)
                    continue
                for qualifier in set(row.qualifiers):
                    mutations.delete_cells(row.key, FAMILY, qualifier, 0, run.micros)
                swept += 1
                if len(mutations) >= _ROWS_PER_WRITE:
                    await self._bigtable.write(AGGREGATES, mutations)
                    mutations = Mutations()
        await self._bigtable.write(AGGREGATES, mutations)
        return swept

    async def _sweep_manual_row(self, key: bytes, run_micros: int) -> bool:
        """Delete the obsolete cells of a manually written row; return whether it had any."""
        row = await self._bigtable.row(AGGREGATES, key)
        mutations = Mutations()
        if row is not None:
            visible = _visible_micros(row, run_micros)
            for cell in row.cells:
                if cell.micros < run_micros and cell.micros != visible:
                    mutations.delete_cells(key, FAMILY, cell.qualifier, cell.micros, cell.micros + 1_000)
        await self._bigtable.write(AGGREGATES, mutations)
        return bool(mutations)

    async def write_by_hand(self, dimension: str, value: str, day: date, measures: Mapping[str, Any]) -> None:
        """Write measures outside of a run; they are visible at once, until a run of the day writes the same row."""
        row_key = row_keys.aggregate_row(dimension, day, value)
        run, row = await asyncio.gather(self._state.run(day), self._bigtable.row(AGGREGATES, row_key))
        # After what readers see, whatever the clock of this machine says, and before a run that starts later.
        written = [_micros(datetime(day.year, day.month, day.day, tzinfo=UTC)), run.micros if run else 0]
        written += [cell.micros for cell in row.cells if cell.qualifier == BY_HAND] if row else []
        micros = max(written) + 1_000
        mutations = Mutations()
        _set_measures(mutations, micros, [(row_key, measures)])
        mutations.set_cell(row_key, FAMILY, BY_HAND, micros, b"1")
        await self._bigtable.write(AGGREGATES, mutations)

    async def of_value(self, dimension: str, value: str, day: date) -> Measures:
        """Return the measures of one value on one day; empty if there are none."""
        scan = Scan(keys=[row_keys.aggregate_row(dimension, day, value)])
        for _value, measures in await self._read_one_run(day, scan, _all):
            return measures
        return {}

    async def of_values(self, dimension: str, values: Iterable[str], day: date) -> dict[str, Measures]:
        """Return the measures of each of some values on one day that has them."""
        keys = {row_keys.aggregate_row(dimension, day, value) for value in values}
        return dict(await self._read_one_run(day, Scan(keys=keys), _all)) if keys else {}

    async def of_days(self, dimension: str, value: str, first: date, last: date) -> dict[date, Measures]:
        """Return the measures of one value on each day from `first` to `last` that has them."""
        keys = {row_keys.aggregate_row(dimension, day, value): day for day in days_between(first, last)}
        runs = await self._state.runs(first, last)
        for _ in range(_MAX_READ_ATTEMPTS):
            micros = {key: runs[day].micros if day in runs else None for key, day in keys.items()}
            rows = [row async for row in self._bigtable.read(AGGREGATES, Scan(keys=keys))]
            found = {keys[row.key]: _measures(row, micros[row.key]) for row in rows}
            latest = await self._state.runs(first, last)
            if latest == runs:
                return {day: measures for day, measures in found.items() if measures}
            runs = latest
        raise StoreUnavailableError(
            f"aggregates from {first} to {last}: a run finished during each of {_MAX_READ_ATTEMPTS} reads; try again"
        )

    async def top(self, dimension: str, measure: str, day: date, limit: int) -> list[tuple[str, Measures]]:
        """Return the dimension values with the highest `measure`, highest first, with all their measures."""
        scan = Scan.prefix(row_keys.aggregate_prefix(dimension, day))
        return await self._read_one_run(day, scan, lambda rows: _highest(rows, measure, limit))

    async def of_day(self, dimension: str, day: date) -> list[tuple[str, Measures]]:
        """Return all values of a dimension on a day with their measures."""
        return await self._read_one_run(day, Scan.prefix(row_keys.aggregate_prefix(dimension, day)), _all)

    async def _read_one_run(
        self, day: date, scan: Scan, collect: Callable[[AsyncIterator[_Row]], Awaitable[list[_Row]]]
    ) -> list[_Row]:
        """Collect rows of one run; start over if another run has finished meanwhile."""
        run = await self._state.run(day)
        for _ in range(_MAX_READ_ATTEMPTS):
            rows = await collect(self._visible_rows(scan, run))
            latest = await self._state.run(day)
            if latest == run:
                return rows
            run = latest
        raise StoreUnavailableError(
            f"aggregates of {day}: a run finished during each of {_MAX_READ_ATTEMPTS} reads; try again"
        )

    async def _visible_rows(self, scan: Scan, run: Run | None) -> AsyncIterator[_Row]:
        async for row in self._bigtable.read(AGGREGATES, scan):
            if measures := _measures(row, run.micros if run else None):
                yield row_keys.value_of_row(row.key), measures


def _measures(row: Row, run_micros: int | None) -> Measures:
    """Return the measures of a row that readers see."""
    micros = _visible_micros(row, run_micros)
    return {
        row_keys.decode(cell.qualifier.decode()): msgspec.json.decode(cell.value)
        for cell in row.cells
        if cell.micros == micros and cell.qualifier != BY_HAND
    }


async def _all(rows: AsyncIterator[_Row]) -> list[_Row]:
    return [row async for row in rows]


async def _highest(rows: AsyncIterator[_Row], measure: str, limit: int) -> list[_Row]:
    """Return the rows with the highest measure, highest first; only a part of the rows is in memory."""

    def rank(row: _Row) -> tuple[float, str]:
        return -row[1][measure], row[0]

    highest: list[_Row] = []
    async for row in rows:
        if isinstance(row[1].get(measure), int | float):
            highest.append(row)
            if len(highest) >= limit + _RANKED_AT_ONCE:
                highest = heapq.nsmallest(limit, highest, key=rank)
    return heapq.nsmallest(limit, highest, key=rank)


def _visible_micros(row: Row, run_micros: int | None) -> int | None:
    """Return the timestamp of the cells that readers see: the newest of the run's and the manually written ones."""
    cells = zip(row.qualifiers, row.micros, strict=True)
    times = {micros for qualifier, micros in cells if micros == run_micros or qualifier == BY_HAND}
    return max(times, default=None)


def _set_measures(mutations: Mutations, micros: int, rows: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    """Add the measures of rows as cells with this timestamp."""
    cell_keys: list[tuple[bytes, bytes, int]] = []
    values: list[bytes] = []
    for row_key, measures in rows:
        cell_keys += [(row_key, _qualifier(name), micros) for name in measures]
        values += map(_encode, measures.values())
    mutations.set_cells(FAMILY, cell_keys, values)


@lru_cache(maxsize=256)
def _qualifier(measure: str) -> bytes:
    return row_keys.encode(measure).encode()


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000) * 1_000


def _older_than(micros: int) -> Any:
    """Return a filter for cells with earlier timestamps that strips their values; it leaves most rows without cells."""
    older = Filter()
    older.chain.filters.add().timestamp_range_filter.end_timestamp_micros = micros
    older.chain.filters.add(strip_value_transformer=True)
    return older
