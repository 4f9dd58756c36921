"""The intraday schedule: the embedded scheduler requests the current day, and the daily run completes it afterwards."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from infra.provision.resources import RESOURCES
from shared.aggregate.day_requests import REQUEST_FOR_TODAY
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.tables.state import StateTable
from tests.integration.test_week import WEEK, at, between, expected_measures, simulated
from tests.support import web_log
from tests.support.samples import MUSIC_CONTRACT, message, sparkify_records

MONDAY, TUESDAY = WEEK[0], WEEK[1]


async def test_the_current_day_grows_until_the_daily_run_completes_it(
    settings: Settings, bigtable: Bigtable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    web_log.write(tmp_path, WEEK[:1])
    log = [record for record in sparkify_records(tmp_path) if record["userId"]]
    whole_day = between(log, at(MONDAY, 0), at(TUESDAY, 0))
    assert len(whole_day) > 50
    counted: list[int] = []
    async with simulated(settings, bigtable, monkeypatch, RESOURCES.with_intraday(360)) as week:
        await week.clock.advance_to(at(MONDAY, 1))  # the daily run of Sunday
        await week.aggregate()
        began = at(MONDAY, 0)
        for hour in (6, 12, 18):
            await week.clock.advance_to(at(MONDAY, hour) - timedelta(minutes=1))
            await week.publish(between(log, began, at(MONDAY, hour)))
            began = at(MONDAY, hour)
            await week.clock.advance_to(at(MONDAY, hour))
            await week.aggregate()
            run = await week.state.run(MONDAY)
            assert run is not None
            assert run.partial_until(MONDAY) == at(MONDAY, hour)
            expected = expected_measures(between(log, at(MONDAY, 0), at(MONDAY, hour)))
            assert dict(await week.rollups.of_day("user", MONDAY)) == expected["user"]
            counted.append(run.events)
        await week.clock.advance_to(at(MONDAY, 23, 59))
        await week.publish(between(log, began, at(TUESDAY, 0)))
        await week.clock.advance_to(at(TUESDAY, 0))
        await week.aggregate()  # of Tuesday, which has just begun
        await week.clock.advance_to(at(TUESDAY, 1))
        await week.aggregate()
        complete = await week.state.run(MONDAY)
        current = await week.state.run(TUESDAY)

    assert [each for each in week.ran if each[1]] == [
        ("05 01:00", [4]),
        ("05 06:00", [5]),
        ("05 12:00", [5]),
        ("05 18:00", [5]),
        ("06 00:00", [6]),
        ("06 01:00", [5]),
    ]
    assert complete is not None
    assert current is not None
    assert (complete.saw_all_of(MONDAY), complete.events) == (True, len(whole_day))
    assert 0 < counted[0] < counted[1] < counted[2] < complete.events
    assert (current.partial_until(TUESDAY), current.events) == (at(TUESDAY, 0), 0)
    for dimension, expected in expected_measures(whole_day).items():
        assert dict(await week.rollups.of_day(dimension, MONDAY)) == expected


class Today:
    """Requests for today on a clock, handled as the function does."""

    def __init__(self, bigtable: Bigtable, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2024, 3, 4, 10, 0, 1, tzinfo=UTC)
        self.pipeline = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
        self.state = StateTable(bigtable)
        monkeypatch.setattr("shared.tables.state.now", lambda: self.now)
        monkeypatch.setattr("shared.aggregate.pipeline.now", lambda: self.now)

    async def days(self, published: datetime) -> list[date]:
        return await self.pipeline.days(message(REQUEST_FOR_TODAY, published=published))


@pytest.fixture
def today(bigtable: Bigtable, monkeypatch: pytest.MonkeyPatch) -> Today:
    return Today(bigtable, monkeypatch)


DAY = date(2024, 3, 4)
TEN = datetime(2024, 3, 4, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


async def test_requests_that_waited_for_a_run_lead_to_one_further_run(today: Today) -> None:
    assert await today.days(TEN) == [DAY]
    await today.pipeline.run(DAY)
    assert await today.days(TEN) == []  # the same message again

    today.now = TEN + 3 * QUARTER + timedelta(seconds=1)
    waiting = [TEN + number * QUARTER for number in (1, 2, 3)]
    assert await today.days(waiting[0]) == [DAY]
    await today.pipeline.run(DAY)
    assert [await today.days(each) for each in waiting] == [[], [], []]
    assert await today.days(TEN + 4 * QUARTER) == [DAY]


async def test_a_failed_run_of_today_is_not_repeated_and_the_next_request_is_answered(today: Today) -> None:
    await today.state.claim_start(DAY)  # a run that never finishes

    assert await today.days(TEN) == []
    assert await today.days(TEN + QUARTER) == [DAY]


async def test_a_request_for_today_that_arrives_the_next_day_leaves_the_complete_run(today: Today) -> None:
    today.now = TEN + timedelta(hours=15)  # the daily run at 01:00
    summary = await today.pipeline.run(DAY)
    assert summary.complete

    today.now += timedelta(hours=1)
    assert await today.days(TEN + timedelta(hours=13, minutes=45)) == []
    assert await today.days(TEN + timedelta(hours=16)) == [DAY + timedelta(days=1)]


async def test_a_delayed_request_for_today_computes_the_whole_day_before_the_daily_run(today: Today) -> None:
    today.now = TEN + timedelta(hours=14, minutes=5)  # five minutes after midnight

    assert await today.days(TEN + timedelta(hours=13, minutes=45)) == [DAY]
    assert (await today.pipeline.run(DAY)).complete


async def test_the_daily_request_computes_a_day_with_partial_runs(today: Today) -> None:
    summary = await today.pipeline.run(DAY)
    assert (summary.complete, summary.horizon) == (False, today.now)

    next_night, later = (datetime(2024, 3, day, 1, tzinfo=UTC) for day in (5, 6))
    assert await today.pipeline.days(message(b"{}", published=next_night)) == [DAY]
    # Also a day later, if that night was missed.
    assert await today.pipeline.days(message(b"{}", published=later)) == [DAY, DAY + timedelta(days=1)]
