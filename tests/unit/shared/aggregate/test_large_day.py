"""A day may have any number of users: their figures are written while others' events are still read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.bigtable.client import AGGREGATES
from shared.bigtable.mutations import Mutations
from tests.support.large_day import LargeDay, aggregate

USERS = 5_000
# Users whose events lie in one batch, in the batches of 16 scans that wait, and in one that grows.
MOST_HELD = 17 * 60


@pytest.fixture(autouse=True, params=[1, 2], ids=["one core", "two cores"])
def small_batches(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Batches of about 100 events, 50 users, instead of 5,000."""
    monkeypatch.setattr("shared.aggregate.rollup_runner._TOGETHER", 20_000)
    monkeypatch.setattr("shared.aggregate.rollup_runner._cores", lambda: request.param)


class Sink(LargeDay):
    """Notes how many users have been read and aren't written yet, and can be stopped."""

    def __init__(self) -> None:
        super().__init__(2 * USERS, USERS)
        self.most_held = 0
        self.open = asyncio.Event()

    async def write(self, table: str, mutations: Mutations) -> None:
        if table == AGGREGATES:
            await self.open.wait()
            self.most_held = max(self.most_held, self.rows_read - self.written["user"])
        await super().write(table, mutations)


async def test_figures_of_users_are_written_while_others_are_read() -> None:
    day = Sink()
    day.open.set()

    summary = await aggregate(day)

    assert day.most_held <= MOST_HELD
    assert day.written["user"] == USERS
    assert summary.events == day.measures["all all"]["total_events"] == 2 * USERS
    assert day.measures["all all"]["active_users"] == USERS


async def test_nobody_reads_on_while_nothing_is_written() -> None:
    day = Sink()
    running = asyncio.create_task(aggregate(day))
    last = -1
    while day.rows_read != last or not last:
        last = day.rows_read
        await asyncio.sleep(0.2)  # as long as another process may take for a batch

    assert 0 < day.rows_read <= MOST_HELD
    assert not running.done()

    day.open.set()
    assert (await running).events == 2 * USERS
    assert day.written["user"] == USERS


async def test_an_estimate_comes_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.aggregate.accumulators.MAX_EXACT_VALUES", USERS - 1)
    monkeypatch.setattr(
        "shared.aggregate.rollup_runner._cores", lambda: 1
    )  # of which this is the only one to know that
    day = Sink()
    day.open.set()

    await aggregate(day)

    measures: dict[str, Any] = day.measures["all all"]
    assert measures["active_users_error"] == 0.0081
    assert abs(measures["active_users"] - USERS) <= 0.0081 * USERS
    assert "unique_songs_error" in measures or measures["unique_songs"] < USERS
