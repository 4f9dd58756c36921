"""Writes the rows of a run to the table `aggregates`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from shared import row_keys
from shared.bigtable.client import AGGREGATES, Bigtable
from shared.bigtable.mutations import Mutations

# The column families of measures, and of what merges them with those of other days.
FAMILY, STATES = "a", "m"
_STATES_QUALIFIER = b"states"

# Rows in one write: enough to fill a call, few enough to bound the memory of a day with a million users.
ROWS_PER_WRITE = 2_000
# Concurrent writes of one run.
_MAX_CONCURRENT_WRITES = 2

# Dimension, value, measures, and what restores the accumulators of measures whose result doesn't suffice.
RunRow = tuple[str, str, Mapping[str, Any], Mapping[str, Any]]

_encode = msgspec.json.Encoder().encode


class RunWriter:
    """Writes the measures of a run, which readers see once the run is finished.

    Attributes:
        rows: number of rows written.
    """

    def __init__(self, bigtable: Bigtable, day: date, started: datetime) -> None:
        self._bigtable = bigtable
        self._day = day
        self.micros = micros_of(started)
        self._write_slots = asyncio.Semaphore(_MAX_CONCURRENT_WRITES)
        self.rows = 0

    async def write(self, rows: Iterable[RunRow]) -> None:
        """Write rows; return when all are stored, which limits the pace of the caller."""
        remaining = iter(rows)
        while chunk := list(islice(remaining, ROWS_PER_WRITE)):
            async with self._write_slots:
                mutations = Mutations()
                keyed = [
                    (row_keys.aggregate_row(dimension, self._day, value), measures, states)
                    for dimension, value, measures, states in chunk
                ]
                set_measures(mutations, self.micros, [(key, measures) for key, measures, _ in keyed])
                _set_states(mutations, self.micros, [(key, states) for key, _, states in keyed if states])
                await self._bigtable.write(AGGREGATES, mutations)
            self.rows += len(chunk)


def set_measures(mutations: Mutations, micros: int, rows: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    """Add the measures of rows as cells with this timestamp."""
    cell_keys: list[tuple[bytes, bytes, int]] = []
    values: list[bytes] = []
    for row_key, measures in rows:
        cell_keys += [(row_key, qualifier_of(name), micros) for name in measures]
        values += map(_encode, measures.values())
    mutations.set_cells(FAMILY, cell_keys, values)


def _set_states(mutations: Mutations, micros: int, rows: Sequence[tuple[bytes, Mapping[str, Any]]]) -> None:
    """Add the states of rows as one cell a row with this timestamp."""
    cell_keys = [(row_key, _STATES_QUALIFIER, micros) for row_key, _ in rows]
    mutations.set_cells(STATES, cell_keys, [_encode(states) for _, states in rows])


@lru_cache(maxsize=256)
def qualifier_of(measure: str) -> bytes:
    """Return the qualifier of a measure's cell."""
    return row_keys.encode(measure).encode()


def micros_of(moment: datetime) -> int:
    """Return the timestamp of the cells of a run that started then: microseconds, in whole milliseconds."""
    return int(moment.timestamp() * 1_000) * 1_000
