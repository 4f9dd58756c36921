"""A day's measures match plain Python, regardless of earlier, concurrent and later runs."""

from __future__ import annotations

import asyncio
import json
import math
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.aggregate.pipeline import AggregatePipeline
from shared.aggregate.spans import span_of_value
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract, parse_contract
from shared.ingest.pipeline import IngestPipeline
from shared.row_keys import aggregate_row
from shared.tables.aggregates import AggregatesTable
from shared.tables.state import CLEAR_MARGIN, Run, StateTable
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

needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"found no real logs at {SPARKIFY}")


async def ingest(bigtable: Bigtable, events: list[dict[str, Any]], contract: Path = MUSIC_CONTRACT) -> None:
    pipeline = IngestPipeline(bigtable, load_contract(contract))
    received = message(lines(events))
    await pipeline.process(received)


def values_without_times(settings: Settings) -> dict[bytes, dict[tuple[str, bytes], list[bytes]]]:
    """Return the aggregates without their timestamps, which differ between runs."""
    return {
        key: {column: [value for _, value in versions] for column, versions in columns.items()}
        for key, columns in dump(settings, "aggregates").items()
    }


@pytest.fixture
def aggregates(bigtable: Bigtable) -> AggregatesTable:
    return AggregatesTable(bigtable, StateTable(bigtable))


@needs_sparkify
async def test_measures_of_the_real_logs_match_plain_python(bigtable: Bigtable, aggregates: AggregatesTable) -> None:
    records = sparkify_records()
    await ingest(bigtable, records, SPARKIFY_CONTRACT)
    pipeline = AggregatePipeline(bigtable, load_contract(SPARKIFY_CONTRACT))

    for day, users, events, songs in ((date(2018, 11, 15), 25, 522, 475), (date(2018, 11, 21), 28, 493, 433)):
        summary = await pipeline.run(day)
        expected: dict[str, dict[str, Any]] = defaultdict(lambda: {"events": 0, "songs": set(), "seconds": []})
        for record in records:
            if record["userId"] and datetime.fromtimestamp(record["ts"] / 1000, UTC).date() == day:
                user = expected[record["userId"]]
                user["events"] += 1
                user["songs"] |= {record["song"]} - {None}
                user["seconds"] += [record["length"]] if record["length"] is not None else []
        found = dict(await aggregates.of_day("user", day))

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


async def test_a_rerun_changes_nothing_and_leaves_one_version_of_each_cell(
    bigtable: Bigtable, settings: Settings
) -> None:
    await ingest(bigtable, [music_event(number) for number in range(200)])
    pipeline = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await pipeline.run(DAY)
    first = values_without_times(settings)

    await pipeline.run(DAY)

    assert values_without_times(settings) == first
    assert all(len(versions) == 1 for columns in first.values() for versions in columns.values())


async def test_a_rerun_after_more_events_equals_a_first_run(
    bigtable: Bigtable, settings: Settings, other_settings: Settings
) -> None:
    events = [music_event(number, duration=number / 7) for number in range(300)]
    pipeline = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await ingest(bigtable, events[:100])
    await pipeline.run(DAY)
    await ingest(bigtable, events[100:])
    await pipeline.run(DAY)

    fresh = Bigtable(other_settings)
    try:
        await ingest(fresh, events[::-1])
        await AggregatePipeline(fresh, load_contract(MUSIC_CONTRACT)).run(DAY)
    finally:
        await fresh.close()

    assert values_without_times(settings) == values_without_times(other_settings)


async def test_an_unfinished_run_is_invisible_and_swept_by_the_next(
    bigtable: Bigtable, settings: Settings, aggregates: AggregatesTable
) -> None:
    await ingest(bigtable, [music_event(1)])
    pipeline = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await pipeline.run(DAY)

    unfinished = aggregates.begin(DAY, now() + timedelta(milliseconds=5))
    await unfinished.write([("all", "all", {"total_events": 99}, {}), ("user", "ghost", {"total_events": 9}, {})])

    assert (await aggregates.of_value("all", "all", DAY))["total_events"] == 1
    assert await aggregates.of_value("user", "ghost", DAY) == {}
    later = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await _wait(timedelta(milliseconds=10))
    await later.run(DAY)
    assert aggregate_row("user", DAY, "ghost") not in dump(settings, "aggregates")


async def test_days_merge_to_the_measures_of_all_their_events(
    bigtable: Bigtable, aggregates: AggregatesTable, settings: Settings
) -> None:
    """Whatever the number of days; a day that is computed again replaces its state."""
    contract = load_contract(MUSIC_CONTRACT)
    for day in (14, 15, 16):
        users = {14: ["ann", "bob"], 15: ["bob", "cid"], 16: ["ann"]}[day]
        await ingest(
            bigtable,
            [
                music_event(
                    100 * day + number, userId=user, timestamp=f"2024-01-{day}T08:00:00Z", songId="s", duration=0.1
                )
                for number, user in enumerate(users)
            ],
        )
        await AggregatePipeline(bigtable, contract).run(date(2024, 1, day))
    await ingest(bigtable, [music_event(9, userId="dan", timestamp="2024-01-15T08:00:00Z", songId="s", duration=0.1)])
    await AggregatePipeline(bigtable, contract).run(DAY)
    unfinished = aggregates.begin(DAY, now() + timedelta(milliseconds=5))
    await unfinished.write([("all", "all", {"active_users": 9}, {"active_users": ["x"]})])

    span = await span_of_value(aggregates, "all", "all", date(2024, 1, 13), date(2024, 1, 16))

    assert (span.days, span.not_computed, span.unmerged) == (3, [date(2024, 1, 13)], {})
    assert span.measures == {
        "total_events": 6,
        "active_users": 4,
        "unique_songs": 1,
        "listening_seconds": math.fsum([0.1] * 6),
        "longest_seconds": 0.1,
    }
    assert (await span_of_value(aggregates, "user", "ann", DAY, DAY)).measures == {}
    states = dump(settings, "aggregates")[b"all#20240115#all"]["m", b"states"]
    assert len(states) == 2  # of the run and of the unfinished one; that of the first run was swept


async def test_readers_see_the_last_started_of_overlapping_runs(
    aggregates: AggregatesTable, bigtable: Bigtable
) -> None:
    state = StateTable(bigtable)
    first, last = now() - timedelta(seconds=2), now() - timedelta(seconds=1)
    await aggregates.begin(DAY, first).write([("all", "all", {"n": 1}, {})])
    await aggregates.begin(DAY, last).write([("all", "all", {"n": 2}, {})])
    await state.finish_run(DAY, _run(last))
    await state.finish_run(DAY, _run(first))
    await aggregates.sweep(DAY, ["all"])

    assert await aggregates.of_value("all", "all", DAY) == {"n": 2}


async def test_manually_written_measures_are_visible_until_a_run_writes_them(
    bigtable: Bigtable, aggregates: AggregatesTable
) -> None:
    await aggregates.write_by_hand("all", "all", DAY, {"total_events": 5})
    await aggregates.write_by_hand("guess", "x", DAY, {"by_hand": [1, {"a": 2.5}]})
    assert await aggregates.of_value("all", "all", DAY) == {"total_events": 5}
    await _wait(timedelta(milliseconds=2))

    await ingest(bigtable, [music_event(1)])
    await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (await aggregates.of_value("all", "all", DAY))["total_events"] == 1
    assert await aggregates.of_value("guess", "x", DAY) == {"by_hand": [1, {"a": 2.5}]}


async def test_a_sweep_keeps_only_the_manually_written_cells_of_a_row(
    bigtable: Bigtable, aggregates: AggregatesTable, settings: Settings
) -> None:
    early, late = now() - timedelta(seconds=2), now() + timedelta(seconds=1)
    await aggregates.begin(DAY, early).write([("guess", "x", {"n": 1, "m": 1}, {}), ("guess", "y", {"n": 1}, {})])
    await aggregates.write_by_hand("guess", "x", DAY, {"n": 2})
    await aggregates.begin(DAY, late).write([("guess", "z", {"n": 3}, {})])
    await StateTable(bigtable).finish_run(DAY, _run(late))

    swept = await aggregates.sweep(DAY, ["guess"])

    assert swept == 2
    found = dump(settings, "aggregates")
    assert list(found) == [b"guess#20240115#x", b"guess#20240115#z"]
    columns = found[b"guess#20240115#x"]
    assert {column: [value for _, value in cells] for column, cells in columns.items()} == {
        ("a", b"_by_hand"): [b"1"],
        ("a", b"n"): [b"2"],
    }


async def test_a_repeated_id_counts_once_with_its_latest_time(bigtable: Bigtable, aggregates: AggregatesTable) -> None:
    await ingest(
        bigtable,
        [
            music_event(1, timestamp="2024-01-15T08:00:00Z", duration=10),
            music_event(1, timestamp="2024-01-15T09:00:00Z", duration=20),
        ],
    )

    summary = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (summary.events, summary.repeated) == (1, 1)
    assert (await aggregates.of_value("all", "all", DAY))["listening_seconds"] == 20


async def test_hourly_buckets_make_the_same_day(
    bigtable: Bigtable, aggregates: AggregatesTable, tmp_path: Path
) -> None:
    hourly = tmp_path / "hourly.toml"
    hourly.write_text(MUSIC_CONTRACT.read_text().replace('bucket = "day"', 'bucket = "hour"'))
    events = [music_event(number * 997) for number in range(80)] + [
        music_event(5, timestamp="2024-01-15T23:59:59.999999Z")  # an id that also occurs in an earlier hour
    ]
    events.append({**music_event(5), "event_id": "evt-000005"})

    await ingest(bigtable, events, hourly)
    summary = await AggregatePipeline(bigtable, load_contract(hourly)).run(DAY)

    assert (summary.events, summary.repeated) == (len({event["event_id"] for event in events}), 1)


async def test_a_day_computed_in_a_worker_process_has_the_same_measures(
    bigtable: Bigtable, aggregates: AggregatesTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(bigtable, [music_event(number * 997, duration=number / 7) for number in range(200)])
    dimensions = ("user", "song", "event_type", "all", "quality")
    in_process = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)
    expected = [await aggregates.of_day(dimension, DAY) for dimension in dimensions]
    monkeypatch.setattr("shared.aggregate.rollup_runner._BATCH_BYTES", 5_000)
    monkeypatch.setattr("shared.aggregate.rollup_runner._core_count", lambda: 2)
    await _wait(timedelta(milliseconds=2))

    in_worker = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (in_worker.events, in_worker.rows) == (in_process.events, in_process.rows)
    assert [await aggregates.of_day(dimension, DAY) for dimension in dimensions] == expected


async def test_a_day_without_events_has_rows_of_the_whole_day(bigtable: Bigtable, aggregates: AggregatesTable) -> None:
    summary = await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert (summary.events, summary.rows) == (0, 2)
    assert (await aggregates.of_value("all", "all", DAY)) == {
        "total_events": 0,
        "active_users": 0,
        "unique_songs": 0,
        "listening_seconds": 0,
        "longest_seconds": None,
    }


async def test_an_empty_request_means_yesterday_and_the_marked_days(bigtable: Bigtable) -> None:
    await ingest(bigtable, [music_event(1)])
    pipeline = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))

    days = await pipeline.days(message(b"", published=datetime(2024, 3, 2, 1, tzinfo=UTC)))

    assert days == [DAY, date(2024, 3, 1)]


async def test_a_run_keeps_marks_younger_than_the_margin(bigtable: Bigtable) -> None:
    state = StateTable(bigtable)
    await state.mark_late([DAY])
    await state.clear_late(DAY, now())
    assert await state.late_days() == [DAY]

    await state.clear_late(DAY, now() + CLEAR_MARGIN + timedelta(seconds=1))

    assert await state.late_days() == []


async def test_dimensions_removed_from_the_contract_are_swept(bigtable: Bigtable, settings: Settings) -> None:
    await ingest(bigtable, [music_event(1)])
    contract = load_contract(MUSIC_CONTRACT)
    await AggregatePipeline(bigtable, contract).run(DAY)
    fewer = parse_contract({**_toml(MUSIC_CONTRACT), "aggregates": {"all": {"total_events": "count"}}}, "fewer.toml")
    await _wait(timedelta(milliseconds=2))

    await AggregatePipeline(bigtable, fewer).run(DAY)

    assert list(dump(settings, "aggregates")) == [b"all#20240115#all", b"quality#20240115#all"]
    assert json.loads(dump(settings, "state")[b"run#20240115"]["s", b"run"][0][1])["dimensions"] == ["all", "quality"]


async def test_the_quality_of_a_day_is_stored_as_measures(
    bigtable: Bigtable, aggregates: AggregatesTable, tmp_path: Path
) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text(MUSIC_CONTRACT.read_text().replace("[checks]", "[checks]\nmax_rejected = 0.2"))
    ingest_pipeline = IngestPipeline(bigtable, load_contract(strict))
    events = [
        *(music_event(number) for number in range(5)),
        music_event(1, timestamp="2024-01-15T23:00:00Z"),
        music_event(7, duration=-1),
        music_event(8, userId="", event_type="dance"),
        music_event(9, userId=""),
    ]
    received = message(lines(events), published=datetime(2024, 1, 15, 23, 30, tzinfo=UTC))
    await ingest_pipeline.process(received)

    summary = await AggregatePipeline(bigtable, load_contract(strict)).run(DAY)

    assert (summary.rejected, summary.share_rejected, summary.too_many_rejected) == (2, 0.25, True)
    assert dict(await aggregates.of_day("quality", DAY)) == {
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


async def test_manually_written_measures_are_visible_on_a_slow_clock(
    bigtable: Bigtable, aggregates: AggregatesTable
) -> None:
    fast = now() + timedelta(minutes=10)  # the run's machine is ten minutes fast, this one is right
    await aggregates.begin(DAY, fast).write([("guess", "x", {"n": 1}, {})])
    await StateTable(bigtable).finish_run(DAY, _run(fast))

    await aggregates.write_by_hand("guess", "x", DAY, {"n": 2})
    assert await aggregates.of_value("guess", "x", DAY) == {"n": 2}
    await aggregates.write_by_hand("guess", "x", DAY, {"n": 3})
    assert await aggregates.of_value("guess", "x", DAY) == {"n": 3}


async def test_runs_that_begin_at_the_same_time_are_never_mixed(
    bigtable: Bigtable, aggregates: AggregatesTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(bigtable, [music_event(number) for number in range(20)])
    moment = now()
    monkeypatch.setattr("shared.tables.state.now", lambda: moment)
    contract, before = load_contract(MUSIC_CONTRACT), int(moment.timestamp() * 1_000) * 1_000

    await asyncio.gather(*(AggregatePipeline(bigtable, contract).run(DAY) for _ in range(4)))

    users = dict(await aggregates.of_day("user", DAY))
    assert sum(each["total_events"] for each in users.values()) == 20
    run = await StateTable(bigtable).run(DAY)
    assert run is not None
    assert run.micros >= before + 3_000


async def test_a_run_starts_after_the_current_one_whatever_its_clock_says(bigtable: Bigtable) -> None:
    state = StateTable(bigtable)
    future = now() + timedelta(hours=1)
    await state.finish_run(DAY, _run(future))

    assert await state.claim_start(DAY) > future


async def test_claimed_starts_are_unique_and_removed_by_later_runs(bigtable: Bigtable, settings: Settings) -> None:
    state = StateTable(bigtable)

    starts = await asyncio.gather(*(state.claim_start(DAY) for _ in range(8)))

    assert len(set(starts)) == 8
    await state.finish_run(DAY, _run(max(starts)))
    assert dump(settings, "state", b"claim#") == {}


async def test_a_corrected_event_has_no_earlier_warning(bigtable: Bigtable, aggregates: AggregatesTable) -> None:
    await ingest(bigtable, [music_event(1, duration=-1), music_event(2, duration=-1)])
    await ingest(bigtable, [music_event(1, duration=5)])

    await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert await aggregates.of_value("quality", "warned", DAY) == {"range": 1}


def _run(started: datetime) -> Run:
    return Run(int(started.timestamp() * 1000) * 1000, 0, 0, ["all"])


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text())


async def _wait(span: timedelta) -> None:
    end = now() + span
    while now() <= end:
        pass


async def test_the_measures_of_a_value_on_several_days_are_those_of_each_day(
    bigtable: Bigtable, aggregates: AggregatesTable
) -> None:
    days = [DAY, DAY + timedelta(days=2)]
    for day in days:
        await ingest(bigtable, [music_event(number, timestamp=f"{day}T10:00:00Z") for number in range(1, 4)])
        await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(day)

    found = await aggregates.of_days("user", "user-1", DAY - timedelta(days=1), DAY + timedelta(days=3))

    assert list(found) == days
    assert found == {day: await aggregates.of_value("user", "user-1", day) for day in days}
    assert await aggregates.of_days("user", "nobody", DAY, days[-1]) == {}


async def test_a_claimed_day_is_unfinished_until_its_run_ends(bigtable: Bigtable) -> None:
    state = StateTable(bigtable)
    start = await state.claim_start(DAY)

    assert await state.unfinished(DAY - timedelta(days=3), DAY) == {DAY: start}
    assert await state.unfinished(DAY + timedelta(days=1), DAY + timedelta(days=9)) == {}

    await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)
    assert await state.unfinished(DAY, DAY) == {}
