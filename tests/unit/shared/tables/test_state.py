"""A run is partial or complete, and a day's latest start is known while its run is unfinished."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from shared.tables.state import Run, StateTable
from tests.support.state_rows import StateRows

DAY = date(2024, 1, 15)
MIDNIGHT = datetime(2024, 1, 16, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000) * 1_000


@pytest.mark.parametrize(("seconds", "partial"), [(-1, True), (0, False), (3_600, False)])
def test_a_run_is_partial_up_to_its_horizon(seconds: int, partial: bool) -> None:
    horizon = MIDNIGHT + timedelta(seconds=seconds)
    run = Run(micros(MIDNIGHT + timedelta(hours=2)), 3, 0, [], horizon_micros=micros(horizon))

    assert run.partial_until(DAY) == (horizon if partial else None)
    assert run.saw_all_of(DAY) is not partial


def test_the_horizon_of_a_run_is_its_start_by_default() -> None:
    stored = b'{"micros":1705312800000000,"events":3,"repeated":0,"dimensions":[]}'

    run = msgspec.json.decode(stored, type=Run)

    assert run.partial_until(DAY) == run.horizon == datetime(2024, 1, 15, 10, tzinfo=UTC)


async def test_a_claimed_or_finished_start_counts_as_started() -> None:
    state = StateTable(StateRows())  # type: ignore[arg-type] - a fake
    rows: StateRows = state._bigtable  # type: ignore[assignment] - the same fake
    rows.row = lambda table, key: _row(rows, table, key)  # type: ignore[attr-defined] - see above
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert not await state.has_started_since(DAY, before)

    start = await state.claim_start(DAY)
    assert await state.has_started_since(DAY, before)
    assert await state.has_started_since(DAY, start)
    assert not await state.has_started_since(DAY, start + timedelta(milliseconds=1))

    await state.finish_run(DAY, Run(micros(start), 0, 0, []))
    assert await state.has_started_since(DAY, start)
    assert not await state.has_started_since(DAY, start + timedelta(milliseconds=1))


async def _row(rows: StateRows, table: str, key: bytes) -> object:
    from shared.bigtable.read_rows import Scan

    return await anext(rows.read(table, Scan(keys=[key])), None)
