"""Exported days have what the tables have, are whole or absent, and are written again only after a change."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import storage

from infra.export.day_tables import versions
from infra.export.day_tables.tables import TABLES, TableName, day_table
from infra.export.exporter import ExportedDay, Exporter
from infra.export.files import bucket as bucket_module
from infra.export.files.destinations import destination
from infra.export.sql.exported import exported_tables
from infra.export.sql.session import session
from infra.export.sql.views import dimension_views
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.contracts.loader import load_contract, parse_contract
from shared.contracts.model import Contract
from shared.errors import ExportError, StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable
from shared.tables.state import StateTable
from shared.timestamps import days_between, now
from tests.support.exported import measures_by_sql
from tests.support.samples import (
    MUSIC_CONTRACT,
    ROOT,
    SPARKIFY,
    SPARKIFY_CONTRACT,
    lines,
    message,
    music_event,
    sparkify_records,
)
from tests.support.storage_emulator import storage_emulator

DAY = date(2024, 1, 15)

needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"found no real logs at {SPARKIFY}")


@pytest.fixture
def contract() -> Contract:
    return load_contract(MUSIC_CONTRACT)


@pytest.fixture(autouse=True)
def _seconds_old_marks_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take marks at their time: by default a day counts as changed for 15 minutes after each mark."""
    monkeypatch.setattr(versions, "CLEAR_MARGIN", timedelta())


async def ingest(bigtable: Bigtable, contract: Contract, events: list[dict[str, Any]]) -> None:
    await IngestPipeline(bigtable, contract).process(message(lines(events)))


async def export(
    bigtable: Bigtable,
    contract: Contract,
    folder: Path | str,
    days: list[date],
    tables: tuple[TableName, ...] = TABLES,
    *,
    force: bool = False,
) -> list[ExportedDay]:
    target = destination(str(folder))
    target.check()
    outcomes: list[ExportedDay] = []
    for name in tables:
        exporter = Exporter(name, day_table(name, bigtable, contract), target, force=force)
        outcomes += [each async for each in exporter.export(days, lambda _day, _rows: None)]
    return outcomes


def names(folder: Path) -> list[str]:
    """Return the names of all files, hidden ones included."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def rows(folder: Path, table: str, day: date = DAY) -> list[dict[str, Any]]:
    return pq.read_table(folder / table / f"day={day}" / "part-000.parquet", partitioning=None).to_pylist()


@pytest.mark.parametrize(
    ("source", "days"),
    [
        pytest.param("data", (date(2024, 1, 15), date(2024, 1, 17)), id="music"),
        pytest.param("logs", (date(2018, 11, 14), date(2018, 11, 16)), id="sparkify", marks=needs_sparkify),
    ],
)
async def test_sql_over_exported_events_equals_the_aggregates_to_the_cell(
    source: str, days: tuple[date, date], bigtable: Bigtable, tmp_path: Path
) -> None:
    """Every measure of the shipped contracts, of every value and day."""
    contract = load_contract(MUSIC_CONTRACT if source == "data" else SPARKIFY_CONTRACT)
    sample = ROOT / "data" / "sample_events.json"
    published = sample.read_bytes() if source == "data" else lines(_records_of(days))
    await IngestPipeline(bigtable, contract).process(message(published))
    span = list(days_between(*days))
    state = StateTable(bigtable)
    for day in span:
        await AggregatePipeline(bigtable, contract).run(day)
    await export(bigtable, contract, tmp_path, span, ("events", "aggregates"))
    with session(exported_tables(tmp_path, None), dimension_views(contract), 256) as opened:
        computed = dict(measures_by_sql(opened, contract))
        query = "select dimension, day, value, measure, json from aggregates where dimension <> 'quality'"
        exported = {tuple(cell): json.loads(value) for *cell, value in opened.result(query).rows}

    stored = {
        (each.dimension, day, value, measure): amount
        for day in span
        for each in contract.aggregates
        for value, measures in await AggregatesTable(bigtable, state).of_day(each.dimension, day)
        for measure, amount in measures.items()
    }
    assert len(computed) > 300
    assert computed == exported == stored


def _records_of(days: tuple[date, date]) -> list[dict[str, Any]]:
    """Return the records of the real logs from the first to the last of two days."""
    return [
        record
        for record in sparkify_records()
        if days[0] <= datetime.fromtimestamp(record["ts"] / 1_000, UTC).date() <= days[1]
    ]


async def test_nothing_of_an_event_is_lost(bigtable: Bigtable, contract: Contract, tmp_path: Path) -> None:
    """Its columns make the event as it is stored, with findings, unknown fields, unfit values and earlier versions."""
    events = [
        music_event(1, device={"os": "x", "n": [1, 2.50, None]}, **{'quo"ted': 1}),
        music_event(2, duration=-1.5),
        music_event(3, duration="long", songId="s"),
        music_event(4, timestamp="2024-01-15T10:00:00.123456Z", duration=2**60 + 1),
        music_event(5, userId="a b/ü", event_id="x#y:1", duration=7),
        music_event(6, event_id="again", userId="u", timestamp="2024-01-15T08:00:00Z", songId="old"),
        music_event(6, event_id="again", userId="u", timestamp="2024-01-15T09:00:00Z", songId="new"),
    ]
    await ingest(bigtable, contract, events)
    await export(bigtable, contract, tmp_path, [DAY], ("events",))

    found = {row["_event_id"]: row for row in rows(tmp_path, "events")}
    stored = {
        event["event_id"]: event
        for user in {event["userId"] for event in events}
        for event in await _stored(bigtable, contract, user)
    }
    assert found.keys() == stored.keys() == {*(f"evt-{n:06d}" for n in (1, 2, 3, 4)), "x#y:1", "again"}
    assert {key: _event(row) for key, row in found.items()} == stored
    assert [row["_event_id"] for row in found.values() if row["_findings"]] == [
        key for key in found if key in ("evt-000002", "evt-000003", "evt-000004")
    ]
    assert json.loads(found["evt-000002"]["_findings"])[0]["rule"] == "range"
    assert (found["evt-000003"]["duration"], found["evt-000003"]["_other_fields"]) == (None, '{"duration":"long"}')
    assert [each["song_id"] for each in json.loads(found["again"]["_earlier_events"])] == ["old"]
    assert found["evt-000001"]["_other_fields"] == '{"device":{"os":"x","n":[1,2.5,null]},"quo\\"ted":1}'


async def _stored(bigtable: Bigtable, contract: Contract, user: str) -> list[dict[str, Any]]:
    """Return the user's events that count."""
    table = EventsTable(bigtable, contract.bucket)
    start, end = datetime(2024, 1, 15, tzinfo=UTC), datetime(2024, 1, 16, tzinfo=UTC)
    decoded = map(json.loads, await table.of_user(user, start, end, None, 400))
    return list({event["event_id"]: event for event in reversed(list(decoded))}.values())


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """Return the canonical event of an exported row."""
    event = {name: value for name, value in row.items() if not name.startswith("_") and value is not None}
    event["timestamp"] = event["timestamp"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    return event | json.loads(row["_other_fields"] or "{}")


async def test_rejected_events_are_exported_with_their_bytes(
    bigtable: Bigtable, contract: Contract, tmp_path: Path
) -> None:
    published = datetime(2024, 1, 15, 10, tzinfo=UTC)
    await IngestPipeline(bigtable, contract).process(message(b'{"a": 1}', published=published))
    await IngestPipeline(bigtable, contract).process(message(b"\xff\x00", message_id="2", published=published))

    await export(bigtable, contract, tmp_path, [DAY], ("rejected",))

    text, raw = sorted(rows(tmp_path, "rejected"), key=lambda row: row["source"])
    assert (text["text"], text["raw"], text["rules"]) == ('{"a": 1}', None, ["required"])
    assert (raw["text"], raw["raw"], raw["rules"]) == (None, b"\xff\x00", ["not_json"])
    assert text["published"].astimezone(UTC) == published
    assert {each["field"] for each in json.loads(text["findings"])} >= {"event_id", "user_id"}


async def test_aggregates_have_the_exact_values_of_the_run(
    bigtable: Bigtable, contract: Contract, tmp_path: Path
) -> None:
    await ingest(bigtable, contract, [music_event(n, duration=0.1) for n in range(3)])
    state = StateTable(bigtable)
    await AggregatesTable(bigtable, state).write_by_hand("guess", "x", DAY, {"big": 2**70, "flag": True, "none": None})
    assert [each.status for each in await export(bigtable, contract, tmp_path, [DAY], ("aggregates",))] == ["written"]
    by_hand = {row["measure"]: (row["integer"], row["number"], row["json"]) for row in rows(tmp_path, "aggregates")}
    assert by_hand == {
        "big": (None, float(2**70), str(2**70)),
        "flag": (None, None, "true"),
        "none": (None, None, "null"),
    }

    await AggregatePipeline(bigtable, contract).run(DAY)
    await export(bigtable, contract, tmp_path, [DAY], ("aggregates",))

    found = {(row["dimension"], row["value"], row["measure"]): row for row in rows(tmp_path, "aggregates")}
    total, seconds = found["all", "all", "total_events"], found["all", "all", "listening_seconds"]
    assert (total["integer"], total["number"], total["json"]) == (3, 3.0, "3")
    assert (seconds["integer"], seconds["number"], seconds["json"]) == (
        None,
        0.30000000000000004,
        "0.30000000000000004",
    )
    assert found["quality", "all", "stored"]["integer"] == 3
    assert ("guess", "x", "big") in found


async def test_aggregates_are_those_of_one_finished_run(bigtable: Bigtable, contract: Contract, tmp_path: Path) -> None:
    await ingest(bigtable, contract, [music_event(1)])
    pipeline = AggregatePipeline(bigtable, contract)
    await pipeline.run(DAY)
    table = day_table("aggregates", bigtable, contract)
    version = await table.version(DAY)
    unfinished = AggregatesTable(bigtable, StateTable(bigtable)).begin(DAY, now() + timedelta(seconds=1))
    await unfinished.write([("all", "all", {"total_events": 99}, {}), ("user", "ghost", {"total_events": 9}, {})])

    await export(bigtable, contract, tmp_path, [DAY], ("aggregates",))

    found = {(row["value"], row["json"]) for row in rows(tmp_path, "aggregates") if row["measure"] == "total_events"}
    assert ("all", "1") in found
    assert not {"99", "9"} & {value for _, value in found}
    await pipeline.run(DAY)
    with pytest.raises(StoreUnavailableError, match="another run finished during the read; try again"):
        [_ async for _ in table.batches(DAY, version)]


async def test_sql_over_days_with_different_columns_has_all_of_them(
    bigtable: Bigtable, contract: Contract, tmp_path: Path
) -> None:
    document = tomllib.loads(MUSIC_CONTRACT.read_text("utf-8"))
    document["fields"]["mood"] = {"type": "string"}
    await ingest(bigtable, contract, [music_event(1), music_event(2, timestamp="2024-01-16T10:00:00Z", mood="good")])
    await export(bigtable, contract, tmp_path, [DAY], ("events",))
    await export(bigtable, parse_contract(document, "mine.toml"), tmp_path, [date(2024, 1, 16)], ("events",))

    with session(exported_tables(tmp_path, None), {}, 256) as opened:
        found = list(opened.result("select day, mood from events order by day").rows)

    assert found == [(DAY, None), (date(2024, 1, 16), "good")]


async def test_a_column_that_changes_its_type_is_named(bigtable: Bigtable, contract: Contract, tmp_path: Path) -> None:
    document = tomllib.loads(MUSIC_CONTRACT.read_text("utf-8"))
    document["fields"]["page"] = {"type": "integer"}
    await export(bigtable, contract, tmp_path, [DAY], ("events",))
    await export(bigtable, parse_contract(document, "mine.toml"), tmp_path, [date(2024, 1, 16)], ("events",))

    with pytest.raises(ExportError, match=r"events: .*page.*string.*int64"):
        exported_tables(tmp_path, None)


async def test_unchanged_days_are_skipped_and_changed_ones_written_again(
    bigtable: Bigtable, contract: Contract, tmp_path: Path
) -> None:
    days = [DAY, date(2024, 1, 16)]
    next_day = {"timestamp": "2024-01-16T10:00:00Z"}
    await ingest(bigtable, contract, [music_event(1), music_event(2, **next_day)])
    pipeline = AggregatePipeline(bigtable, contract)
    for day in days:
        await pipeline.run(day)

    async def statuses(**options: Any) -> list[tuple[str, str, int]]:
        outcomes = await export(bigtable, contract, tmp_path, days, ("events", "aggregates"), **options)
        return [(each.table, each.status, each.rows) for each in outcomes]

    first = await statuses()
    assert [status for _, status, _ in first] == ["written"] * 4
    assert await statuses() == [(table, "unchanged", count) for table, _, count in first]

    # A late event marks its day; the other day stays.
    await ingest(bigtable, contract, [music_event(3, **next_day)])
    events, aggregates = (await statuses())[:2], (await statuses())[2:]
    assert events == [("events", "unchanged", 1), ("events", "written", 2)]
    assert [status for _, status, _ in aggregates] == ["unchanged", "unchanged"]

    # A run changes the aggregates; it may have deleted a mark, so the events are written again, too.
    await pipeline.run(days[1])
    assert [status for _, status, _ in await statuses()] == ["unchanged", "written", "unchanged", "written"]
    assert [status for _, status, _ in await statuses()] == ["unchanged"] * 4
    assert [status for _, status, _ in await statuses(force=True)] == ["written"] * 4


async def test_a_day_that_is_not_over_is_written_again(bigtable: Bigtable, contract: Contract, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()

    outcomes = [(await export(bigtable, contract, tmp_path, [today], ("events",)))[0] for _ in range(2)]

    assert [(each.status, each.complete, each.rows) for each in outcomes] == [("written", False, 0)] * 2


async def test_a_day_without_a_run_is_reported_and_has_no_file(
    bigtable: Bigtable, contract: Contract, tmp_path: Path
) -> None:
    [outcome] = await export(bigtable, contract, tmp_path, [DAY], ("aggregates",))

    assert (outcome.status, outcome.file) == ("not_computed", "")
    assert names(tmp_path) == []


async def test_a_contract_with_other_columns_writes_the_day_again(
    bigtable: Bigtable, contract: Contract, tmp_path: Path
) -> None:
    document = tomllib.loads(MUSIC_CONTRACT.read_text("utf-8"))
    document["fields"]["mood"] = {"type": "string"}
    await ingest(bigtable, contract, [music_event(1, mood="good")])
    await export(bigtable, contract, tmp_path, [DAY], ("events",))
    assert rows(tmp_path, "events")[0]["_other_fields"] == '{"mood":"good"}'

    [outcome] = await export(bigtable, parse_contract(document, "mine.toml"), tmp_path, [DAY], ("events",))

    assert outcome.status == "written"
    [row] = rows(tmp_path, "events")
    assert (row["mood"], row["_other_fields"]) == ("good", None)


async def test_a_day_whose_events_have_expired_keeps_its_file(
    bigtable: Bigtable, contract: Contract, settings: Any, tmp_path: Path, other_settings: Any
) -> None:
    await ingest(bigtable, contract, [music_event(1)])
    await export(bigtable, contract, tmp_path, [DAY], ("events",))
    empty = Bigtable(other_settings)
    try:
        await AggregatePipeline(empty, contract).run(DAY)  # another run makes the day changed
        with pytest.raises(ExportError, match=r"found no rows of 2024-01-15 in events, expected some like the 1 of"):
            await export(empty, contract, tmp_path, [DAY], ("events",))
        assert len(rows(tmp_path, "events")) == 1
        await export(empty, contract, tmp_path, [DAY], ("events",), force=True)
    finally:
        await empty.close()
    assert rows(tmp_path, "events") == []
    assert names(tmp_path) == ["part-000.parquet"]


async def test_an_interrupted_export_leaves_the_earlier_file_or_none(
    bigtable: Bigtable, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(bigtable, contract, [music_event(number) for number in range(50)])
    table = day_table("events", bigtable, contract)
    target = destination(str(tmp_path))

    async def stop_after_first(day: date, version: versions.DayVersion) -> AsyncIterator[pa.RecordBatch]:
        async for batch in type(table).batches(table, day, version):
            yield batch
            raise KeyboardInterrupt

    exporter = Exporter("events", table, target)
    for earlier in ([], ["part-000.parquet"]):
        with monkeypatch.context() as patched:
            patched.setattr(table, "batches", stop_after_first)
            with pytest.raises(KeyboardInterrupt):
                [_ async for _ in Exporter("events", table, target, force=True).export([DAY], lambda *_: None)]
        assert names(tmp_path) == earlier
        [outcome] = [each async for each in exporter.export([DAY], lambda *_: None)]
        assert (outcome.rows, len(rows(tmp_path, "events"))) == (50, 50)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of the emulator, as a URL."""
    with storage_emulator("exports") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield "gs://exports/sluice"


async def test_a_bucket_gets_the_same_files_as_a_folder(
    bigtable: Bigtable, contract: Contract, tmp_path: Path, bucket: str
) -> None:
    await ingest(bigtable, contract, [music_event(number) for number in range(50)])
    await AggregatePipeline(bigtable, contract).run(DAY)
    outcomes = await export(bigtable, contract, bucket, [DAY])
    await export(bigtable, contract, tmp_path, [DAY])

    blobs = list(storage.Client(project="p").list_blobs("exports"))
    assert [each.file for each in outcomes] == [f"{bucket}/{table}/day={DAY}/part-000.parquet" for table in TABLES]
    assert sorted(f"gs://exports/{blob.name}" for blob in blobs) == sorted(each.file for each in outcomes)
    for blob in blobs:
        local = pq.read_table(tmp_path / Path(blob.name).relative_to("sluice"), partitioning=None)
        assert pq.read_table(pa.BufferReader(blob.download_as_bytes())).equals(local)
    assert {each.status for each in await export(bigtable, contract, bucket, [DAY])} == {"unchanged"}


async def test_a_failed_upload_leaves_no_object(
    bigtable: Bigtable, contract: Contract, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_CHUNK_BYTES", 256 * 1024)
    target = destination(bucket)
    with contextlib.suppress(RuntimeError), target.new_file("events/day=2024-01-15/part-000.parquet") as file:
        file.write(b"x" * 1_000_000)
        raise RuntimeError

    assert list(storage.Client(project="p").list_blobs("exports")) == []
    assert target.open("events/day=2024-01-15/part-000.parquet") is None


async def test_a_missing_bucket_is_named(bucket: str) -> None:
    with pytest.raises(ExportError, match=r"^gs://gone: found no such bucket$"):
        destination("gs://gone/x").check()
    with pytest.raises(ExportError, match=r"^found 'gs://', expected gs://BUCKET\[/FOLDER\]$"):
        destination("gs://")
