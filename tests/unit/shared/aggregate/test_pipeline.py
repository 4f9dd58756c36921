"""The days of an empty request, the deadline of a run, and the events of a user's day that count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared import row_keys
from shared.aggregate import pipeline
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.bigtable.row_merger import Cell, Row
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import StoreUnavailableError
from shared.pubsub.message import Message
from shared.tables import events as events_table
from shared.tables.events import LargeRow
from shared.tables.user_events import deduplicate, group_by_user
from shared.validation.validator import MAX_EVENT_BYTES
from tests.support.large_day import DAY, LargeDay, aggregate
from tests.support.samples import MUSIC_CONTRACT, message
from tests.support.state_rows import StateRows

PUBLISHED = datetime(2024, 1, 16, 0, 30, tzinfo=UTC)


def request(data: bytes) -> Message:
    return message(data, message_id="77", published=PUBLISHED)


async def test_an_empty_message_requests_the_day_before_its_publication_and_the_marked_days(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aggregation = AggregatePipeline(Bigtable(Settings("p", "i")), load_contract(MUSIC_CONTRACT))
    marked = [date(2024, 1, 3), date(2024, 1, 15)]

    async def late_days() -> list[date]:
        return marked

    async def nothing_missed(yesterday: date) -> list[date]:
        return []

    monkeypatch.setattr(aggregation._state, "late_days", late_days)
    monkeypatch.setattr(aggregation, "_missed_days", nothing_missed)

    assert await aggregation.days(request(b"")) == [date(2024, 1, 3), date(2024, 1, 15)]
    marked.clear()
    assert await aggregation.days(request(b"{}")) == [date(2024, 1, 15)]
    marked.append(date(2024, 1, 3))
    assert await aggregation.days(request(b'{"date": "2024-01-01"}')) == [date(2024, 1, 1)]


async def test_a_run_fails_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    aggregation = AggregatePipeline(Bigtable(Settings("p", "i")), load_contract(MUSIC_CONTRACT), deadline=0.01)
    monkeypatch.setattr(aggregation._state, "run", lambda _: asyncio.Event().wait())

    with pytest.raises(StoreUnavailableError, match=r"2024-01-15: the run didn't finish within 0\.01 s"):
        await aggregation.run(date(2024, 1, 15))


async def test_a_timeout_other_than_the_deadline_is_raised_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    aggregation = AggregatePipeline(Bigtable(Settings("p", "i")), load_contract(MUSIC_CONTRACT))

    async def state(_: date) -> None:
        raise TimeoutError("a connection")

    monkeypatch.setattr(aggregation._state, "run", state)

    with pytest.raises(TimeoutError, match="a connection"):
        await aggregation.run(date(2024, 1, 15))


@pytest.mark.parametrize(("app_profile", "minutes"), [("", 15), ("serving", 50)])
async def test_stale_reads_keep_the_marks_of_the_events_that_they_may_miss(app_profile: str, minutes: int) -> None:
    """A read through an app profile may miss writes of the 35 minutes before it; the usual margin is 15 minutes."""
    state = AggregatePipeline(
        Bigtable(Settings("p", "i", app_profile=app_profile)), load_contract(MUSIC_CONTRACT)
    )._state
    rows = StateRows()
    state._bigtable = rows  # type: ignore[assignment] - a fake
    day = date(2024, 1, 15)
    for age in (minutes - 1, minutes + 1):
        mutations = Mutations()
        micros = int((PUBLISHED - timedelta(minutes=age)).timestamp()) * 1_000_000
        mutations.set_cell(row_keys.state_row("late", day), "s", b"late", micros, b"1")
        await rows.write("state", mutations)

        await state.clear_late(day, PUBLISHED)

        assert (await state.late_days() == [day]) is (age < minutes)
        rows.cells.clear()


async def test_a_run_uses_the_declared_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    class RunnerStartedError(Exception):
        pass

    def runner(_contract: object, cpu: float | None) -> None:
        raise RunnerStartedError(cpu)

    monkeypatch.setattr(pipeline, "RollupRunner", runner)
    rows: Any = StateRows()
    rows.app_profile = ""
    rows.row = lambda _table, key: _first(rows.read("state", Scan(keys=[key])))

    with pytest.raises(RunnerStartedError, match=r"1\.0"):
        await AggregatePipeline(rows, load_contract(MUSIC_CONTRACT), cpu=1.0).run(date(2024, 1, 15))


async def _first(rows: AsyncIterator[Row]) -> Row | None:
    return await anext(rows, None)


# Repeated ids


def row(user: str, *events: tuple[str, datetime, bytes], bucket: row_keys.Bucket = "day") -> Row:
    """Return the row of these (id, time, value) events as Bigtable returns it."""
    keyed = [(row_keys.cell_key_of(user, identity, time, bucket), value) for identity, time, value in events]
    cells = [Cell("e", key.qualifier, key.micros, value) for key, value in keyed]
    return row_of(keyed[0][0].row_key, sorted(cells, key=lambda cell: cell.qualifier))


def row_of(key: bytes, cells: list[Cell]) -> Row:
    return Row(key, *map(list, zip(*cells, strict=True)))  # type: ignore[arg-type]


def at(hour: int, micros: int = 0) -> datetime:
    return datetime(2024, 1, 15, hour, 0, 0, micros, tzinfo=UTC)


def test_the_newest_of_the_events_with_one_id_counts() -> None:
    day = row("ann", ("1", at(9), b"old"), ("2", at(10), b"other"), ("1", at(11), b"new"), ("1", at(8), b"older"))

    values, findings, repeated = deduplicate([day])

    assert sorted(values) == [b"new", b"other"]
    assert (findings, repeated) == ([], 2)


def test_the_latest_hour_counts_for_a_repeated_id() -> None:
    hours = [
        row("ann", ("1", at(9), b"old"), bucket="hour"),
        row("ann", ("1", at(10), b"new"), ("2", at(10), b"other"), bucket="hour"),
    ]

    values, _, repeated = deduplicate(hours)

    assert (sorted(values), repeated) == ([b"new", b"other"], 1)


def test_ids_with_a_common_prefix_are_distinct() -> None:
    assert deduplicate([row("ann", ("1", at(9), b"a"), ("10", at(9), b"b"), ("1:0", at(9), b"c"))])[2] == 0


@pytest.mark.parametrize("findings_first", [False, True], ids=["events first", "findings first"])
def test_only_the_findings_of_counted_events_are_returned(findings_first: bool) -> None:
    """Bigtable doesn't define the order of a row's families."""
    day = row("ann", ("1", at(9), b"old"), ("1", at(11), b"new"), ("2", at(10), b"other"))
    findings_cells = [
        Cell("f", cell.qualifier, cell.micros, b"about " + cell.value) for cell in day.cells if cell.value != b"other"
    ]

    cells = [*findings_cells, *day.cells] if findings_first else [*day.cells, *findings_cells]

    _, findings, _ = deduplicate([row_of(day.key, cells)])

    assert findings == [(b"new", b"about new")]


async def test_adjacent_rows_of_a_user_are_grouped() -> None:
    rows = [
        row("ann", ("1", at(9), b""), bucket="hour"),
        row("ann", ("2", at(10), b""), bucket="hour"),
        row("ann2", ("3", at(10), b""), bucket="hour"),
        row("bob", ("4", at(10), b"")),
    ]

    async def stream() -> AsyncIterator[list[Row]]:
        for batch in (rows[:1], rows[1:3], rows[3:]):
            yield batch

    assert [users async for users in group_by_user(stream())] == [[], [rows[:2]], [rows[2:3]], [rows[3:]]]


async def test_an_empty_scan_has_no_users() -> None:
    async def stream() -> AsyncIterator[list[Row]]:
        return
        yield

    assert [group async for group in group_by_user(stream())] == []


# Large rows


async def test_a_large_row_is_reported_when_it_is_read_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    day = LargeDay(60, 3)  # rows of 20 events
    sizes = [sum(map(len, day.row_of_user(b"", user).values)) for user in range(3)]
    monkeypatch.setattr("shared.tables.events.LARGE_ROW_BYTES", min(sizes) - 1)
    reported: list[tuple[date, LargeRow]] = []
    aggregation = AggregatePipeline(
        day,  # type: ignore[arg-type] - a fake
        load_contract(MUSIC_CONTRACT),
        report_large_row=lambda of, large: reported.append((of, large)),
    )

    summary = await aggregation.run(DAY)

    assert summary.large_rows == len(reported) == 3
    assert {large.row.partition("#")[2] for _, large in reported} == {f"20240115#user_{n:07d}" for n in range(3)}
    assert sorted(large.bytes for _, large in reported) == sorted(sizes)
    assert {of for of, _ in reported} == {DAY}
    assert day.measures["quality all"]["large_rows"] == 3

    monkeypatch.setattr("shared.tables.events.LARGE_ROW_BYTES", max(sizes))
    assert (await aggregation.run(DAY)).large_rows == 0
    assert "large_rows" not in day.measures["quality all"]


def test_a_row_with_too_few_cells_to_be_large_is_not_measured() -> None:
    assert events_table._MIN_LARGE_ROW_CELLS * 2 * MAX_EVENT_BYTES <= events_table.LARGE_ROW_BYTES


# The horizon of a run


@pytest.mark.parametrize(("app_profile", "minutes"), [("", 0), ("serving", 35)])
async def test_the_horizon_of_a_run_allows_for_stale_reads(
    monkeypatch: pytest.MonkeyPatch, app_profile: str, minutes: int
) -> None:
    started = datetime(2024, 1, 16, 0, 30, tzinfo=UTC)
    monkeypatch.setattr(pipeline, "now", lambda: started)
    day = LargeDay(2, 1)
    day.app_profile = app_profile

    summary = await aggregate(day)

    assert summary.horizon == started - timedelta(minutes=minutes)
    assert summary.complete is (minutes == 0)
