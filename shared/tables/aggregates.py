"""The table `aggregates`: one row for each value of a dimension and day. Readers see exactly one whole run.

All cells of a run have its start as their timestamp. The day's marker in `state`, written last, names the run that
readers see. They ignore cells with other timestamps, and the sweep after a later run deletes these. A row written
manually has a marker column beside its measures: it is visible without a run, and the sweep keeps it until a run writes
the same row.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec

from shared import row_keys
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import AGGREGATES, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.bigtable.row_merger import Row
from shared.errors import StoreUnavailableError
from shared.tables.run_writer import FAMILY, ROWS_PER_WRITE, STATES, RunWriter, micros_of, qualifier_of, set_measures
from shared.tables.state import Run, StateTable
from shared.timestamps import days_between

BY_HAND = b"_by_hand"

# Attempts to read while runs finish concurrently; a run takes far longer than a read.
_MAX_READ_ATTEMPTS = 5

# Rows that a ranking keeps beyond its limit before it drops all but the highest.
_RANKED_AT_ONCE = 1_000

Measures = dict[str, Any]
JsonMeasures = dict[str, bytes]
_Row = tuple[str, Measures]

_END = b"\xff"  # follows every row key
_ONLY_MEASURES = Filter(family_name_regex_filter=FAMILY)


class MergeableDay(NamedTuple):
    """The measures of one value on one day, with what merges them with those of other days.

    Attributes:
        states: by the measure's name; a measure whose result suffices has none.
        functions: of each mergeable measure.
    """

    day: date
    measures: Measures
    states: dict[str, Any]
    functions: dict[str, str]


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
                for family, qualifier in sorted(set(zip(row.families, row.qualifiers, strict=True))):
                    mutations.delete_cells(row.key, family, qualifier, 0, run.micros)
                swept += 1
                if len(mutations) >= ROWS_PER_WRITE:
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
                    mutations.delete_cells(key, cell.family, cell.qualifier, cell.micros, cell.micros + 1_000)
        await self._bigtable.write(AGGREGATES, mutations)
        return bool(mutations)

    async def write_by_hand(self, dimension: str, value: str, day: date, measures: Mapping[str, Any]) -> None:
        """Write measures outside of a run; they are visible at once, until a run of the day writes the same row."""
        row_key = row_keys.aggregate_row(dimension, day, value)
        run, row = await asyncio.gather(self._state.run(day), self._bigtable.row(AGGREGATES, row_key))
        # After what readers see, whatever the clock of this machine says, and before a run that starts later.
        written = [micros_of(datetime(day.year, day.month, day.day, tzinfo=UTC)), run.micros if run else 0]
        written += [cell.micros for cell in row.cells if cell.qualifier == BY_HAND] if row else []
        micros = max(written) + 1_000
        mutations = Mutations()
        set_measures(mutations, micros, [(row_key, measures)])
        mutations.set_cell(row_key, FAMILY, BY_HAND, micros, b"1")
        await self._bigtable.write(AGGREGATES, mutations)

    async def of_value(self, dimension: str, value: str, day: date) -> Measures:
        """Return the measures of one value on one day; empty if there are none."""
        scan = Scan(keys=[row_keys.aggregate_row(dimension, day, value)], filter=_ONLY_MEASURES)
        for _value, measures in await self._read_one_run(day, scan, _all):
            return measures
        return {}

    async def of_values(self, dimension: str, values: Iterable[str], day: date) -> dict[str, Measures]:
        """Return the measures of each of some values on one day that has them."""
        keys = {row_keys.aggregate_row(dimension, day, value) for value in values}
        return dict(await self._read_one_run(day, Scan(keys=keys), _all)) if keys else {}

    async def of_days(self, dimension: str, value: str, first: date, last: date) -> dict[date, Measures]:
        """Return the measures of one value on each day from `first` to `last` that has them."""
        runs, rows = await self._rows_of_days(dimension, value, first, last, _ONLY_MEASURES)
        found = {day: _measures(row, runs[day].micros if day in runs else None) for day, row in rows.items()}
        return {day: measures for day, measures in found.items() if measures}

    async def mergeable_days(
        self, dimension: str, value: str, first: date, last: date
    ) -> tuple[dict[date, Run], list[MergeableDay]]:
        """Return the runs of the days from `first` to `last`, and what they have of one value, in order of the days."""
        runs, rows = await self._rows_of_days(dimension, value, first, last, None)
        found = []
        for day, row in sorted(rows.items()):
            run = runs.get(day)
            if measures := _measures(row, run.micros if run else None):
                states = _states(row, run.micros) if run else {}
                found.append(MergeableDay(day, measures, states, run.functions.get(dimension, {}) if run else {}))
        return runs, found

    async def _rows_of_days(
        self, dimension: str, value: str, first: date, last: date, filter: Filter | None
    ) -> tuple[dict[date, Run], dict[date, Row]]:
        """Return the runs of days and the rows of one value; start over if another run has finished meanwhile."""
        keys = {row_keys.aggregate_row(dimension, day, value): day for day in days_between(first, last)}
        runs = await self._state.runs(first, last)
        for _ in range(_MAX_READ_ATTEMPTS):
            rows = [row async for row in self._bigtable.read(AGGREGATES, Scan(keys=keys, filter=filter))]
            latest = await self._state.runs(first, last)
            if latest == runs:
                return runs, {keys[row.key]: row for row in rows}
            runs = latest
        raise StoreUnavailableError(
            f"aggregates from {first} to {last}: a run finished during each of {_MAX_READ_ATTEMPTS} reads; try again"
        )

    async def top(self, dimension: str, measure: str, day: date, limit: int) -> list[tuple[str, Measures]]:
        """Return the dimension values with the highest `measure`, highest first, with all their measures."""
        scan = Scan.prefix(row_keys.aggregate_prefix(dimension, day), filter=_ONLY_MEASURES)
        return await self._read_one_run(day, scan, partial(_highest, measure, limit))

    async def of_day(self, dimension: str, day: date) -> list[tuple[str, Measures]]:
        """Return all values of a dimension on a day with their measures."""
        scan = Scan.prefix(row_keys.aggregate_prefix(dimension, day), filter=_ONLY_MEASURES)
        return await self._read_one_run(day, scan, _all)

    async def dimensions(self) -> list[str]:
        """Return the dimensions of all rows, with one short read for each."""
        found: list[str] = []
        start = b""
        while rows := [row async for row in self._bigtable.read(AGGREGATES, Scan(ranges=[(start, _END)], limit=1))]:
            encoded = rows[0].key.partition(b"#")[0]
            found.append(row_keys.decode(encoded.decode()))
            start = encoded + b"$"  # follows "#", and precedes every character of an encoded dimension
        return found

    async def stream_day(self, dimension: str, day: date, run: Run | None) -> AsyncGenerator[tuple[str, JsonMeasures]]:
        """Yield what readers see of a run: each value of a dimension with its measures as JSON.

        The caller checks afterwards that the run is still the current one.
        """
        scan = Scan.prefix(row_keys.aggregate_prefix(dimension, day), filter=_ONLY_MEASURES)
        async for row in self._bigtable.read(AGGREGATES, scan):
            if measures := _json_measures(row, run.micros if run else None):
                yield row_keys.value_of_row(row.key), measures

    async def _read_one_run(
        self, day: date, scan: Scan, collect: Callable[[AsyncIterator[Row], int | None], Awaitable[list[_Row]]]
    ) -> list[_Row]:
        """Collect what readers see of rows of one run; start over if another run has finished meanwhile."""
        run = await self._state.run(day)
        for _ in range(_MAX_READ_ATTEMPTS):
            rows = await collect(self._bigtable.read(AGGREGATES, scan), run.micros if run else None)
            latest = await self._state.run(day)
            if latest == run:
                return rows
            run = latest
        raise StoreUnavailableError(
            f"aggregates of {day}: a run finished during each of {_MAX_READ_ATTEMPTS} reads; try again"
        )


def _measures(row: Row, run_micros: int | None) -> Measures:
    """Return the measures of a row that readers see."""
    return {name: msgspec.json.decode(value) for name, value in _json_measures(row, run_micros).items()}


def _json_measures(row: Row, run_micros: int | None) -> JsonMeasures:
    """Return the measures of a row that readers see, each as JSON."""
    micros = _visible_micros(row, run_micros)
    return {
        row_keys.decode(cell.qualifier.decode()): cell.value
        for cell in row.cells
        if cell.micros == micros and cell.family == FAMILY and cell.qualifier != BY_HAND
    }


def _states(row: Row, run_micros: int) -> dict[str, Any]:
    """Return the states of a row that belong to a run."""
    for cell in row.cells:
        if cell.family == STATES and cell.micros == run_micros:
            states: dict[str, Any] = msgspec.json.decode(cell.value)
            return states
    return {}


async def _all(rows: AsyncIterator[Row], run_micros: int | None) -> list[_Row]:
    return [
        (row_keys.value_of_row(row.key), measures) async for row in rows if (measures := _measures(row, run_micros))
    ]


async def _highest(measure: str, limit: int, rows: AsyncIterator[Row], run_micros: int | None) -> list[_Row]:
    """Return the rows with the highest measure, highest first; only a part of the rows is in memory and decoded."""
    qualifier = qualifier_of(measure)
    highest: list[tuple[float, str, Row]] = []
    async for row in rows:
        number = _number(row, qualifier, run_micros)
        if number is not None:
            highest.append((-number, row_keys.value_of_row(row.key), row))
            if len(highest) >= limit + _RANKED_AT_ONCE:
                highest = heapq.nsmallest(limit, highest)
    return [(value, _measures(row, run_micros)) for _, value, row in heapq.nsmallest(limit, highest)]


def _number(row: Row, qualifier: bytes, run_micros: int | None) -> float | None:
    """Return the measure of a row that readers see, if it is a number."""
    visible = _visible_micros(row, run_micros)
    for column, micros, value in zip(row.qualifiers, row.micros, row.values, strict=True):
        if column == qualifier and micros == visible:
            number = msgspec.json.decode(value)
            return number if isinstance(number, int | float) else None
    return None


def _visible_micros(row: Row, run_micros: int | None) -> int | None:
    """Return the timestamp of the cells that readers see: the newest of the run's and the manually written ones."""
    cells = zip(row.qualifiers, row.micros, strict=True)
    times = {micros for qualifier, micros in cells if micros == run_micros or qualifier == BY_HAND}
    return max(times, default=None)


def _older_than(micros: int) -> Any:
    """Return a filter for cells with earlier timestamps that strips their values; it leaves most rows without cells."""
    older = Filter()
    older.chain.filters.add().timestamp_range_filter.end_timestamp_micros = micros
    older.chain.filters.add(strip_value_transformer=True)
    return older
