"""A day is current unless something may have been stored since it was read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace

from infra.export.day_tables import versions
from infra.export.day_tables.versions import DayVersion, MarkedDays
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.tables.state import CLEAR_MARGIN, MAX_STALENESS, Run, StateTable
from shared.timestamps import EPOCH

DAY = date(2024, 1, 15)
READ = datetime(2024, 1, 16, 12, tzinfo=UTC)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The run and the mark of the day; the order in which they are read is under "read"."""
    found: dict[str, object] = {"run": None, "mark": None, "read": []}

    async def read(name: str) -> object:
        found["read"].append(name)  # type: ignore[attr-defined]
        return found[name]

    monkeypatch.setattr(StateTable, "run", lambda _self, _day: read("run"))
    monkeypatch.setattr(StateTable, "latest_mark", lambda _self, _day: read("mark"))
    return found


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def run(moment: datetime) -> Run:
    return Run(micros(moment), 1, 0, [])


def days(**settings: str) -> MarkedDays:
    return MarkedDays(Bigtable(replace(Settings("p", "i"), **settings)))


async def test_a_day_is_current_until_a_mark_or_a_run_appears(state: dict[str, object]) -> None:
    read = DayVersion(micros(READ), None, complete=True)
    table = days()

    assert await table.is_current(DAY, read)
    state["mark"] = READ + timedelta(hours=1)
    assert not await table.is_current(DAY, read)
    state["mark"] = None
    state["run"] = run(READ + timedelta(hours=1))
    assert not await table.is_current(DAY, read)
    assert await table.is_current(DAY, DayVersion(micros(READ), micros(READ + timedelta(hours=1)), complete=True))


async def test_a_mark_shortly_before_the_read_may_belong_to_a_later_event(state: dict[str, object]) -> None:
    read = DayVersion(micros(READ), None, complete=True)

    state["mark"] = READ - CLEAR_MARGIN
    assert not await days().is_current(DAY, read)
    state["mark"] = READ - CLEAR_MARGIN - timedelta(milliseconds=1)
    assert await days().is_current(DAY, read)


async def test_marks_are_read_before_the_run_that_deletes_them(state: dict[str, object]) -> None:
    await days().is_current(DAY, DayVersion(micros(READ), None, complete=True))

    assert state["read"] == ["mark", "run"]


async def test_a_day_that_was_read_before_its_end_is_never_current(state: dict[str, object]) -> None:
    assert not await days().is_current(DAY, DayVersion(micros(READ), None, complete=False))


async def test_a_read_through_an_app_profile_sees_an_earlier_time(
    state: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "now", lambda: datetime(2024, 1, 16, tzinfo=UTC))

    direct, stale = await days().version(DAY), await days(app_profile="boost").version(DAY)

    assert (direct.complete, stale.complete) == (True, False)
    assert direct.horizon_micros - stale.horizon_micros == MAX_STALENESS // timedelta(microseconds=1)
