"""Memory is bounded for any number of users: their measures are written while other events are still read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.bigtable.client import AGGREGATES
from shared.bigtable.mutations import Mutations
from tests.support.large_day import LargeDay, aggregate

USERS = 5_000
# Users in one batch, in the pending batches of 16 scans, and in the batch that is being filled.
MAX_UNWRITTEN_USERS = 17 * 60


@pytest.fixture(autouse=True, params=[1, 2], ids=["one core", "two cores"])
def small_batches(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Reduce batches from 5,000 events to about 100, of 50 users."""
    monkeypatch.setattr("shared.aggregate.rollup_runner._BATCH_BYTES", 20_000)
    monkeypatch.setattr("shared.aggregate.rollup_runner._core_count", lambda: request.param)


class Sink(LargeDay):
    """Records the largest number of users read and not yet written; its writes can be blocked."""

    def __init__(self) -> None:
        super().__init__(2 * USERS, USERS)
        self.max_unwritten_users = 0
        self.writable = asyncio.Event()

    async def write(self, table: str, mutations: Mutations) -> None:
        if table == AGGREGATES:
            await self.writable.wait()
            self.max_unwritten_users = max(self.max_unwritten_users, self.rows_read - self.written["user"])
        await super().write(table, mutations)


async def test_measures_of_users_are_written_while_others_are_read() -> None:
    day = Sink()
    day.writable.set()

    summary = await aggregate(day)

    assert day.max_unwritten_users <= MAX_UNWRITTEN_USERS
    assert day.written["user"] == USERS
    assert summary.events == day.measures["all all"]["total_events"] == 2 * USERS
    assert day.measures["all all"]["active_users"] == USERS


async def test_reading_stops_while_writes_are_blocked() -> None:
    day = Sink()
    running = asyncio.create_task(aggregate(day))
    last_read = -1
    while day.rows_read != last_read or not last_read:
        last_read = day.rows_read
        await asyncio.sleep(0.2)  # longer than the worker needs for a batch

    assert 0 < day.rows_read <= MAX_UNWRITTEN_USERS
    assert not running.done()

    day.writable.set()
    assert (await running).events == 2 * USERS
    assert day.written["user"] == USERS


async def test_an_estimated_measure_has_its_error_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.aggregate.accumulators.MAX_EXACT_DISTINCT", USERS - 1)
    # The patch has no effect in a worker process.
    monkeypatch.setattr("shared.aggregate.rollup_runner._core_count", lambda: 1)
    day = Sink()
    day.writable.set()

    await aggregate(day)

    measures: dict[str, Any] = day.measures["all all"]
    assert measures["active_users_error"] == 0.0081
    assert abs(measures["active_users"] - USERS) <= 0.0081 * USERS
    assert "unique_songs_error" in measures or measures["unique_songs"] < USERS
