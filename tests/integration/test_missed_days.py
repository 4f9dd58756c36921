"""An empty request makes good what was missed: a pipeline that was switched off over a weekend heals itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.aggregate.pipeline import MAX_MISSED_DAYS, AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.contracts.loader import load_contract
from shared.tables.state import Run, StateTable
from tests.support.samples import MUSIC_CONTRACT, message

MONDAY = date(2024, 3, 4)


async def due(bigtable: Bigtable, today: date = MONDAY) -> list[date]:
    """Return what a request of the early morning comes to."""
    published = datetime(today.year, today.month, today.day, 1, tzinfo=UTC)
    return await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).days(message(b"{}", published=published))


async def computed(bigtable: Bigtable, day: date, *, at: datetime | None = None) -> None:
    """Leave what a run leaves, which began an hour after its day unless told otherwise."""
    at = at or datetime(day.year, day.month, day.day, 1, tzinfo=UTC) + timedelta(days=1)
    await StateTable(bigtable).finish_run(day, Run(int(at.timestamp()) * 1_000_000, 0, 0, []))


async def test_the_first_request_ever_has_missed_nothing(bigtable: Bigtable) -> None:
    assert await due(bigtable) == [date(2024, 3, 3)]


async def test_nothing_is_missed_where_each_day_was_computed(bigtable: Bigtable) -> None:
    for day in (date(2024, 3, 1), date(2024, 3, 2)):
        await computed(bigtable, day)

    assert await due(bigtable) == [date(2024, 3, 3)]


async def test_a_weekend_without_runs_is_made_good(bigtable: Bigtable) -> None:
    await computed(bigtable, date(2024, 2, 29))

    assert await due(bigtable) == [date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 3)]


async def test_a_day_computed_by_hand_hides_no_missed_ones(bigtable: Bigtable) -> None:
    await computed(bigtable, date(2024, 2, 29))
    await computed(bigtable, date(2024, 3, 2))
    await computed(bigtable, MONDAY, at=datetime(2024, 3, 4, 0, 30, tzinfo=UTC))

    assert await due(bigtable) == [date(2024, 3, 1), date(2024, 3, 3)]


@pytest.mark.parametrize(("hour", "missed"), [(23, True), (24, False)])
async def test_a_run_amid_its_day_has_not_seen_all_of_it(bigtable: Bigtable, hour: int, missed: bool) -> None:
    day = date(2024, 3, 1)
    await computed(bigtable, day, at=datetime(2024, 3, 1, tzinfo=UTC) + timedelta(hours=hour))
    await computed(bigtable, date(2024, 3, 2))

    assert (day in await due(bigtable)) is missed


async def test_how_far_it_looks_back(bigtable: Bigtable) -> None:
    await computed(bigtable, date(2023, 6, 1))

    days = await due(bigtable)

    assert (days[0], days[-1], len(days)) == (date(2024, 2, 1), date(2024, 3, 3), MAX_MISSED_DAYS + 1)
