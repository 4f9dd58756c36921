"""A day's measures are those of a plain reading of its events, whatever ran before, beside or after."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract, parse_contract
from shared.ingest.pipeline import IngestPipeline
from shared.row_keys import aggregate_row
from shared.tables.aggregates import AggregatesTable
from shared.tables.state import Run, StateTable
from shared.timestamps import now
from tests.support.samples import (
    MUSIC_CONTRACT,
    SPARKIFY,
    SPARKIFY_CONTRACT,
    dump,
    lines,
    message,
    music_event,
    sparkify_records,
)

DAY = date(2024, 1, 15)

needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"the real logs aren't there: {SPARKIFY}")


async def take_in(bigtable: Bigtable, events: list[dict[str, Any]], contract: Path = MUSIC_CONTRACT) -> None:
    ingestion = IngestPipeline(bigtable, load_contract(contract))
    received = message(lines(events))
    await ingestion.process(received)


def without_run(settings: Settings) -> dict[bytes, dict[tuple[str, bytes], list[bytes]]]:
    """The aggregates without their times, which differ from run to run."""
    return {
        key: {column: [value for _, value in versions] for column, versions in columns.items()}
        for key, columns in dump(settings, "aggregates").items()
    }


@pytest.fixture
def rollups(bigtable: Bigtable) -> AggregatesTable:
    return AggregatesTable(bigtable, StateTable(bigtable))


@needs_sparkify
async def test_the_real_logs_add_up(bigtable: Bigtable, rollups: AggregatesTable) -> None:
    records = sparkify_records()
    await take_in(bigtable, records, SPARKIFY_CONTRACT)
    aggregation = AggregatePipeline(bigtable, load_contract(SPARKIFY_CONTRACT))

    for day, users, events, songs in ((date(2018, 11, 15), 25, 522, 475), (date(2018, 11, 21), 28, 493, 433)):
        summary = await aggregation.run(day)
        expected: dict[str, dict[str, Any]] = defaultdict(lambda: {"events": 0, "songs": set(), "seconds": []})
        for record in records:
            if record["userId"] and datetime.fromtimestamp(record["ts"] / 1000, UTC).date() == day:
                user = expected[record["userId"]]
                user["events"] += 1
                user["songs"] |= {record["song"]} - {None}
                user["seconds"] += [record["length"]] if record["length"] is not None else []
        found = dict(await rollups.of_day("user", day))

        assert (summary.events, len(found)) == (events, users)
        assert sum(stats["unique_songs"] for stats in found.values()) == songs
        assert found == {
            user: {
                "total_events": each["events"],
                "unique_songs": len(each["songs"]),
                "listening_seconds": math.fsum(each["seconds"]),
            }
            for user, each in expected.items()
        }


async def test_running_twice_changes_nothing_and_leaves_nothing_of_the_first(
    bigtable: Bigtable, settings: Settings
) -> None:
    await take_in(bigtable, [music_event(number) for number in range(200)])
    aggregation = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await aggregation.run(DAY)
    first = without_run(settings)

    await aggregation.run(DAY)

    assert without_run(settings) == first
    assert all(len(versions) == 1 for columns in first.values() for versions in columns.values())


async def test_a_run_after_more_events_leaves_what_a_fresh_run_would(
    bigtable: Bigtable, settings: Settings, other_settings: Settings
) -> None:
    events = [music_event(number, duration=number / 7) for number in range(300)]
    aggregation = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await take_in(bigtable, events[:100])
    await aggregation.run(DAY)
    await take_in(bigtable, events[100:])
    await aggregation.run(DAY)

    fresh = Bigtable(other_settings)
    try:
        await take_in(fresh, events[::-1])
        await AggregatePipeline(fresh, load_contract(MUSIC_CONTRACT)).run(DAY)
    finally:
        await fresh.close()

    assert without_run(settings) == without_run(other_settings)


async def test_an_unfinished_run_is_not_seen_and_swept_by_the_next(
    bigtable: Bigtable, settings: Settings, rollups: AggregatesTable
) -> None:
    await take_in(bigtable, [music_event(1)])
    aggregation = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await aggregation.run(DAY)

    unfinished = rollups.begin(DAY, now() + timedelta(milliseconds=5))
    await unfinished.write([("all", "all", {"total_events": 99}), ("user", "ghost", {"total_events": 9})])

    assert (await rollups.of_value("all", "all", DAY))["total_events"] == 1
    assert await rollups.of_value("user", "ghost", DAY) == {}
    later = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await _until_after(timedelta(milliseconds=10))
    await later.run(DAY)
    assert aggregate_row("user", DAY, "ghost") not in dump(settings, "aggregates")


async def test_of_overlapping_runs_the_one_that_started_last_counts(
    rollups: AggregatesTable, bigtable: Bigtable
) -> None:
    state = StateTable(bigtable)
    early, late = now() - timedelta(seconds=2), now() - timedelta(seconds=1)
    await rollups.begin(DAY, early).write([("all", "all", {"n": 1})])
    await rollups.begin(DAY, late).write([("all", "all", {"n": 2})])
    await state.finish_run(DAY, _run(late))
    await state.finish_run(DAY, _run(early))
    await rollups.sweep(DAY, ["all"])

    assert await rollups.of_value("all", "all", DAY) == {"n": 2}


async def test_what_is_written_by_hand_is_seen_until_a_run_writes_it(
    bigtable: Bigtable, rollups: AggregatesTable
) -> None:
    await rollups.write_by_hand("all", "all", DAY, {"total_events": 5})
    await rollups.write_by_hand("guess", "x", DAY, {"by_hand": [1, {"a": 2.5}]})
    assert await rollups.of_value("all", "all", DAY) == {"total_events": 5}
    await _until_after(timedelta(milliseconds=2))

    await take_in(bigtable, [music_event(1)])
    await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (await rollups.of_value("all", "all", DAY))["total_events"] == 1
    assert await rollups.of_value("guess", "x", DAY) == {"by_hand": [1, {"a": 2.5}]}


async def test_a_sweep_spares_what_is_written_by_hand_and_nothing_else_of_its_row(
    bigtable: Bigtable, rollups: AggregatesTable, settings: Settings
) -> None:
    early, late = now() - timedelta(seconds=2), now() + timedelta(seconds=1)
    await rollups.begin(DAY, early).write([("guess", "x", {"n": 1, "m": 1}), ("guess", "y", {"n": 1})])
    await rollups.write_by_hand("guess", "x", DAY, {"n": 2})
    await rollups.begin(DAY, late).write([("guess", "z", {"n": 3})])
    await StateTable(bigtable).finish_run(DAY, _run(late))

    touched = await rollups.sweep(DAY, ["guess"])

    assert touched == 2
    found = dump(settings, "aggregates")
    assert list(found) == [b"guess#20240115#x", b"guess#20240115#z"]
    columns = found[b"guess#20240115#x"]
    assert {column: [value for _, value in cells] for column, cells in columns.items()} == {
        ("a", b"_by_hand"): [b"1"],
        ("a", b"n"): [b"2"],
    }


async def test_an_id_that_comes_at_two_times_counts_once_as_the_later(
    bigtable: Bigtable, rollups: AggregatesTable
) -> None:
    await take_in(
        bigtable,
        [
            music_event(1, timestamp="2024-01-15T08:00:00Z", duration=10),
            music_event(1, timestamp="2024-01-15T09:00:00Z", duration=20),
        ],
    )

    summary = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (summary.events, summary.repeated) == (1, 1)
    assert (await rollups.of_value("all", "all", DAY))["listening_seconds"] == 20


async def test_hourly_rows_make_the_same_day(bigtable: Bigtable, rollups: AggregatesTable, tmp_path: Path) -> None:
    hourly = tmp_path / "hourly.toml"
    hourly.write_text(MUSIC_CONTRACT.read_text().replace('bucket = "day"', 'bucket = "hour"'))
    events = [music_event(number * 997) for number in range(80)] + [
        music_event(5, timestamp="2024-01-15T23:59:59.999999Z")  # an id that an earlier hour has too
    ]
    events.append({**music_event(5), "event_id": "evt-000005"})

    await take_in(bigtable, events, hourly)
    summary = await AggregatePipeline(bigtable, load_contract(hourly)).run(DAY)

    assert (summary.events, summary.repeated) == (len({event["event_id"] for event in events}), 1)


async def test_a_day_that_is_measured_elsewhere_has_the_same_figures(
    bigtable: Bigtable, rollups: AggregatesTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_in(bigtable, [music_event(number * 997, duration=number / 7) for number in range(200)])
    dimensions = ("user", "song", "event_type", "all", "quality")
    here = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)
    expected = [await rollups.of_day(dimension, DAY) for dimension in dimensions]
    monkeypatch.setattr("shared.aggregate.rollup_runner._TOGETHER", 5_000)
    monkeypatch.setattr("shared.aggregate.rollup_runner._cores", lambda: 2)
    await _until_after(timedelta(milliseconds=2))

    elsewhere = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (elsewhere.events, elsewhere.rows) == (here.events, here.rows)
    assert [await rollups.of_day(dimension, DAY) for dimension in dimensions] == expected


async def test_a_day_without_events_has_figures_of_the_whole(bigtable: Bigtable, rollups: AggregatesTable) -> None:
    summary = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (summary.events, summary.rows) == (0, 2)
    assert (await rollups.of_value("all", "all", DAY)) == {
        "total_events": 0,
        "active_users": 0,
        "unique_songs": 0,
        "listening_seconds": 0,
        "longest_seconds": None,
    }


async def test_an_empty_request_is_yesterday_and_the_marked_days(bigtable: Bigtable) -> None:
    await take_in(bigtable, [music_event(1)])
    aggregation = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))

    days = await aggregation.days(message(b"", published=datetime(2024, 3, 2, 1, tzinfo=UTC)))

    assert days == [DAY, date(2024, 3, 1)]


async def test_a_run_clears_only_marks_that_are_old_enough(bigtable: Bigtable) -> None:
    state = StateTable(bigtable)
    await state.mark_late([DAY])
    await state.clear_late(DAY, now())
    assert await state.late_days() == [DAY]

    await state.clear_late(DAY, now() + timedelta(minutes=11))

    assert await state.late_days() == []


async def test_dimensions_that_a_contract_gave_up_are_swept(bigtable: Bigtable, settings: Settings) -> None:
    await take_in(bigtable, [music_event(1)])
    contract = load_contract(MUSIC_CONTRACT)
    await AggregatePipeline(bigtable, contract).run(DAY)
    fewer = parse_contract({**_toml(MUSIC_CONTRACT), "aggregates": {"all": {"total_events": "count"}}}, "fewer.toml")
    await _until_after(timedelta(milliseconds=2))

    await AggregatePipeline(bigtable, fewer).run(DAY)

    assert list(dump(settings, "aggregates")) == [b"all#20240115#all", b"quality#20240115#all"]
    assert json.loads(dump(settings, "state")[b"run#20240115"]["s", b"run"][0][1])["dimensions"] == ["all", "quality"]


async def test_a_days_quality_is_figures_like_any_other(
    bigtable: Bigtable, rollups: AggregatesTable, tmp_path: Path
) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text(MUSIC_CONTRACT.read_text().replace("[checks]", "[checks]\nmax_rejected = 0.2"))
    ingestion = IngestPipeline(bigtable, load_contract(strict))
    events = [
        *(music_event(number) for number in range(5)),
        music_event(1, timestamp="2024-01-15T23:00:00Z"),
        music_event(7, duration=-1),
        music_event(8, userId="", event_type="dance"),
        music_event(9, userId=""),
    ]
    received = message(lines(events), published=datetime(2024, 1, 15, 23, 30, tzinfo=UTC))
    await ingestion.process(received)

    summary = await AggregatePipeline(bigtable, load_contract(strict)).run(DAY)

    assert (summary.rejected, summary.share_rejected, summary.too_many_rejected) == (2, 0.25, True)
    assert dict(await rollups.of_day("quality", DAY)) == {
        "all": {
            "stored": 6,
            "repeated_ids": 1,
            "rejected": 2,
            "share_rejected": 0.25,
            "max_rejected": 0.2,
            "too_many_rejected": True,
        },
        "warned": {"range": 1},
        "rejected": {"null": 2, "one_of": 1},
    }
    assert not (await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)).too_many_rejected


def _run(started: datetime) -> Run:
    return Run(int(started.timestamp() * 1000) * 1000, 0, 0, ["all"])


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text())


async def _until_after(span: timedelta) -> None:
    end = now() + span
    while now() <= end:
        pass
