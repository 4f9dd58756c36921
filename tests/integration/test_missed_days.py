"""An empty request includes missed days, so a pipeline that was off over a weekend recovers by itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.aggregate.pipeline import MAX_MISSED_DAYS, AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.contracts.loader import load_contract
from shared.tables.state import Run, StateTable
from tests.support.samples import MUSIC_CONTRACT, message

MONDAY = date(2024, 3, 4)


async def days_due(bigtable: Bigtable, today: date = MONDAY) -> list[date]:
    """Return the days that an empty request at 01:00 UTC means."""
    published = datetime(today.year, today.month, today.day, 1, tzinfo=UTC)
    return await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).days(message(b"{}", published=published))


async def finish_run(bigtable: Bigtable, day: date, *, at: datetime | None = None) -> None:
    """Record a run of a day; by default it started one hour after the day."""
    at = at or datetime(day.year, day.month, day.day, 1, tzinfo=UTC) + timedelta(days=1)
    await StateTable(bigtable).finish_run(day, Run(int(at.timestamp()) * 1_000_000, 0, 0, []))


async def test_the_first_request_finds_no_missed_days(bigtable: Bigtable) -> None:
    assert await days_due(bigtable) == [date(2024, 3, 3)]


async def test_no_day_is_missed_after_a_run_for_each_day(bigtable: Bigtable) -> None:
    for day in (date(2024, 3, 1), date(2024, 3, 2)):
        await finish_run(bigtable, day)

    assert await days_due(bigtable) == [date(2024, 3, 3)]


async def test_a_weekend_without_runs_is_computed_later(bigtable: Bigtable) -> None:
    await finish_run(bigtable, date(2024, 2, 29))

    assert await days_due(bigtable) == [date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 3)]


async def test_a_manually_computed_day_hides_no_missed_days(bigtable: Bigtable) -> None:
    await finish_run(bigtable, date(2024, 2, 29))
    await finish_run(bigtable, date(2024, 3, 2))
    await finish_run(bigtable, MONDAY, at=datetime(2024, 3, 4, 0, 30, tzinfo=UTC))

    assert await days_due(bigtable) == [date(2024, 3, 1), date(2024, 3, 3)]


@pytest.mark.parametrize(("hour", "missed"), [(23, True), (24, False)])
async def test_a_run_before_the_end_of_its_day_is_incomplete(bigtable: Bigtable, hour: int, missed: bool) -> None:
    day = date(2024, 3, 1)
    await finish_run(bigtable, day, at=datetime(2024, 3, 1, tzinfo=UTC) + timedelta(hours=hour))
    await finish_run(bigtable, date(2024, 3, 2))

    assert (day in await days_due(bigtable)) is missed


async def test_missed_days_are_limited_to_the_lookback(bigtable: Bigtable) -> None:
    await finish_run(bigtable, date(2023, 6, 1))

    days = await days_due(bigtable)

    assert (days[0], days[-1], len(days)) == (date(2024, 2, 1), date(2024, 3, 3), MAX_MISSED_DAYS + 1)
