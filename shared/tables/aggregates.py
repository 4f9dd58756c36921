"""The table `aggregates`: a row for each value of a dimension and day, of which readers see one whole run.

All cells of a run carry its start as their time. A day's marker in `state` names the run that counts, and is written
last; cells of other times are not seen, and swept away after a later run. What is written by hand carries a column of
its own beside the figures, so that it is seen without a marker and spared by the sweep until a run writes the same row.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import date, datetime
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
from shared.timestamps import now

FAMILY = "a"
BY_HAND = b"_by_hand"

# Rows in one commit: enough to fill a call, few enough that a day of a million users stays out of memory.
_ROWS_A_COMMIT = 2_000
# Commits of one run at once.
_COMMITS = 2
# How often a reader begins again because a run finished under it; a run takes far longer than a read.
_READS = 5

Stats = dict[str, Any]

_encode = msgspec.json.Encoder().encode


class RunWriter:
    """Writes what a run computes, unseen until the run is finished.

    Attributes:
        rows: written.
    """

    def __init__(self, bigtable: Bigtable, day: date, started: datetime) -> None:
        self._bigtable = bigtable
        self._day = day
        self._micros = _micros(started)
        self._commits = asyncio.Semaphore(_COMMITS)
        self.rows = 0

    async def write(self, rows: Iterable[tuple[str, str, Stats]]) -> None:
        """Write (dimension, value, stats); returns when they are stored, so who computes faster than that waits."""
        left = iter(rows)
        while some := list(islice(left, _ROWS_A_COMMIT)):
            async with self._commits:
                mutations = Mutations()
                figures = [
                    (row_keys.aggregate_row(dimension, self._day, value), stats) for dimension, value, stats in some
                ]
                _put(mutations, self._micros, figures)
                await self._bigtable.write(AGGREGATES, mutations)
            self.rows += len(some)


class AggregatesTable:
    """Writes and reads aggregates."""

    def __init__(self, bigtable: Bigtable, state: StateTable) -> None:
        self._bigtable = bigtable
        self._state = state

    def begin(self, day: date, started: datetime) -> RunWriter:
        """Return what writes the figures of a run that started then."""
        return RunWriter(self._bigtable, day, started)

    async def sweep(self, day: date, dimensions: Iterable[str]) -> int:
        """Delete what the run that counts has made obsolete; returns the number of rows touched.

        Cells newer than that run are left alone: they belong to a run that isn't finished.
        """
        run = await self._state.run(day)
        if run is None:
            return 0
        touched = 0
        mutations = Mutations()
        for dimension in sorted({*dimensions, *run.dimensions}):
            scan = Scan.prefix(row_keys.aggregate_prefix(dimension, day), filter=_older_than(run.micros))
            async for row in self._bigtable.read(AGGREGATES, scan):
                if BY_HAND in row.qualifiers:
                    touched += await self._sweep_row(row.key, run.micros)
                    continue
                for qualifier in set(row.qualifiers):
                    mutations.delete_cells(row.key, FAMILY, qualifier, 0, run.micros)
                touched += 1
                if len(mutations) >= _ROWS_A_COMMIT:
                    await self._bigtable.write(AGGREGATES, mutations)
                    mutations = Mutations()
        await self._bigtable.write(AGGREGATES, mutations)
        return touched

    async def _sweep_row(self, key: bytes, run_micros: int) -> bool:
        """Delete what the run has made obsolete in a row that has been written by hand."""
        row = await self._bigtable.row(AGGREGATES, key)
        mutations = Mutations()
        if row is not None:
            kept = _seen(row, run_micros)
            for cell in row.cells:
                if cell.micros < run_micros and cell.micros != kept:
                    mutations.delete_cells(key, FAMILY, cell.qualifier, cell.micros, cell.micros + 1_000)
        await self._bigtable.write(AGGREGATES, mutations)
        return bool(mutations)

    async def write_by_hand(self, dimension: str, value: str, day: date, stats: Mapping[str, Any]) -> None:
        """Put figures in by hand; they are readable at once, until a run of that day writes the same row."""
        mutations = Mutations()
        micros = _micros(now())
        row_key = row_keys.aggregate_row(dimension, day, value)
        _put(mutations, micros, [(row_key, stats)])
        mutations.set_cell(row_key, FAMILY, BY_HAND, micros, b"1")
        await self._bigtable.write(AGGREGATES, mutations)

    async def of_value(self, dimension: str, value: str, day: date) -> Stats:
        """Return the figures of one value on one day; empty where there are none."""
        scan = Scan(keys=[row_keys.aggregate_row(dimension, day, value)])
        for _value, stats in await self._whole(day, scan):
            return stats
        return {}

    async def top(self, dimension: str, measure: str, day: date, limit: int) -> list[tuple[str, Stats]]:
        """Return the values with the highest figures of a measure, highest first, and all figures of each."""
        rows = await self._whole(day, Scan.prefix(row_keys.aggregate_prefix(dimension, day)))
        ranked = [row for row in rows if isinstance(row[1].get(measure), int | float)]
        return heapq.nsmallest(limit, ranked, key=lambda row: (-row[1][measure], row[0]))

    async def of_day(self, dimension: str, day: date) -> list[tuple[str, Stats]]:
        """Return all values of a dimension on a day, with their figures."""
        return await self._whole(day, Scan.prefix(row_keys.aggregate_prefix(dimension, day)))

    async def _whole(self, day: date, scan: Scan) -> list[tuple[str, Stats]]:
        """Read rows of one run: begin again if another one has come to count meanwhile."""
        run = await self._state.run(day)
        for _ in range(_READS):
            rows = [row async for row in self._rows(scan, run)]
            again = await self._state.run(day)
            if again == run:
                return rows
            run = again
        raise StoreUnavailableError(f"aggregates of {day}: runs kept finishing while they were read; try again")

    async def _rows(self, scan: Scan, run: Run | None) -> AsyncIterator[tuple[str, Stats]]:
        async for row in self._bigtable.read(AGGREGATES, scan):
            micros = _seen(row, run.micros if run else None)
            stats = {
                row_keys.decode(cell.qualifier.decode()): msgspec.json.decode(cell.value)
                for cell in row.cells
                if cell.micros == micros and cell.qualifier != BY_HAND
            }
            if stats:
                yield row_keys.value_of_row(row.key), stats


def _seen(row: Row, run_micros: int | None) -> int | None:
    """Return the time of the cells that count in a row: the newest of the run's and those written by hand."""
    cells = zip(row.qualifiers, row.micros, strict=True)
    times = {micros for qualifier, micros in cells if micros == run_micros or qualifier == BY_HAND}
    return max(times, default=None)


def _put(mutations: Mutations, micros: int, rows: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    """Put the figures of rows, all at once, into cells of that time."""
    cell_keys: list[tuple[bytes, bytes, int]] = []
    values: list[bytes] = []
    for row_key, stats in rows:
        cell_keys += [(row_key, _qualifier(name), micros) for name in stats]
        values += map(_encode, stats.values())
    mutations.set_cells(FAMILY, cell_keys, values)


@lru_cache(maxsize=256)
def _qualifier(measure: str) -> bytes:
    return row_keys.encode(measure).encode()


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000) * 1_000


def _older_than(micros: int) -> Any:
    """Return the filter that leaves the cells of earlier times, without their values: of most rows, none."""
    older = Filter()
    older.chain.filters.add().timestamp_range_filter.end_timestamp_micros = micros
    older.chain.filters.add(strip_value_transformer=True)
    return older
