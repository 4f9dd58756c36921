"""The rows that `ingest` stores for a message, and that a redelivery changes nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from datetime import UTC, datetime, timedelta
from zlib import crc32

import pytest

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import LayoutChangedError, StoreRefusedError
from shared.ingest.pipeline import IngestPipeline
from tests.support.samples import MUSIC_CONTRACT, SPARKIFY_CONTRACT, cells, dump, lines, message, music_event


@pytest.fixture
def pipeline(bigtable: Bigtable) -> IngestPipeline:
    return IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT))


async def test_an_event_is_stored_in_the_cell_of_the_layout(pipeline: IngestPipeline, settings: Settings) -> None:
    event = music_event(3, userId="jo#é", timestamp="2024-01-15T10:30:00.123456Z", extra={"kept": True})

    await pipeline.process(message(lines([event])))

    shard = f"{crc32('jo#é'.encode()) % 64:02x}"
    within = ((10 * 60 + 30) * 60) * 1_000_000 + 123_456
    qualifier = f"{86_399_999_999 - within:011d}#evt-000003".encode()
    table = dump(settings, "events")
    assert list(table) == [f"{shard}#20240115#jo%23%C3%A9".encode()]
    [(_, found, micros, value)] = cells(table, "e")
    assert found == qualifier
    assert micros == int(datetime(2024, 1, 15, 10, 30, tzinfo=UTC).timestamp()) * 1_000_000 + 123_000
    assert json.loads(value) == {
        "event_id": "evt-000003",
        "user_id": "jo#é",
        "timestamp": "2024-01-15T10:30:00.123456Z",
        "event_type": "song_play",
        "song_id": "song-3",
        "duration": 180.25,
        "extra": {"kept": True},
    }


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lines([music_event(1)]), id="one object"),
        pytest.param(json.dumps(music_event(1), indent=2).encode(), id="one object over several lines"),
        pytest.param(json.dumps([music_event(1), music_event(2)]).encode(), id="array"),
        pytest.param(lines([music_event(1), music_event(2)]), id="lines"),
        pytest.param(gzip.compress(lines([music_event(1), music_event(2)])), id="gzip"),
    ],
)
async def test_every_format_of_a_message_is_unpacked(pipeline: IngestPipeline, settings: Settings, data: bytes) -> None:
    await pipeline.process(message(data))

    stored = [json.loads(value)["event_id"] for *_, value in cells(dump(settings, "events"), "e")]
    assert sorted(stored) in (["evt-000001"], ["evt-000001", "evt-000002"])
    assert not dump(settings, "rejected")


async def test_invalid_events_are_rejected_and_valid_ones_of_the_same_message_stored(
    pipeline: IngestPipeline, settings: Settings
) -> None:
    bad = lines([music_event(2, userId="", event_type="dance")])
    published = datetime(2024, 1, 15, 12, tzinfo=UTC)

    await pipeline.process(
        message(lines([music_event(1)]) + b"\n" + bad + b"\n{not json\n", message_id="m7", published=published),
    )

    assert len(list(cells(dump(settings, "events"), "e"))) == 1
    rejected = dump(settings, "rejected")
    raws = {columns[("r", b"raw")][0][1]: (key, columns) for key, columns in rejected.items()}
    assert set(raws) == {bad, b"{not json"}
    key, columns = raws[bad]
    digest = hashlib.sha256(bad).hexdigest()[:32]
    assert key == f"{crc32(digest.encode()) % 64:02x}#20240115#{digest}".encode()
    assert [(each["rule"], each["field"]) for each in json.loads(columns[("r", b"findings")][0][1])] == [
        ("null", "user_id"),
        ("one_of", "event_type"),
    ]
    assert columns[("r", b"source")][0][1] == b"m7"
    assert pipeline.counts == {"messages": 1, "stored": 1, "rejected": 2, "null": 1, "one_of": 1, "not_json": 1}


async def test_a_large_message_is_stored_in_chunks(pipeline: IngestPipeline, settings: Settings) -> None:
    events = [music_event(number, userId="" if number % 10 == 0 else "u") for number in range(2_345)]

    await pipeline.process(message(lines(events)))

    assert len(list(cells(dump(settings, "events"), "e"))) == 2_110
    assert len(dump(settings, "rejected")) == 235
    assert (pipeline.counts["stored"], pipeline.counts["rejected"]) == (2_110, 235)


async def test_a_warning_is_stored_with_its_event(pipeline: IngestPipeline, settings: Settings) -> None:
    await pipeline.process(message(lines([music_event(1, duration=-1), music_event(2)])))

    table = dump(settings, "events")
    assert len(list(cells(table, "e"))) == 2
    [(_, qualifier, _, findings)] = cells(table, "f")
    assert qualifier.endswith(b"#evt-000001")
    crc, found = json.loads(findings)
    [event] = [value for _, key, _, value in cells(table, "e") if key == qualifier]
    assert crc == zlib.crc32(event)
    assert found[0] == {
        "rule": "range",
        "field": "duration",
        "found": "-1",
        "expected": "at least 0 and at most 86400",
        "severity": "warn",
    }


async def test_a_redelivery_changes_nothing(pipeline: IngestPipeline, settings: Settings, bigtable: Bigtable) -> None:
    received = message(lines([music_event(1), music_event(2, userId=""), music_event(3, duration=-5)]))
    await pipeline.process(received)
    before = dump(settings, "events"), dump(settings, "rejected")

    await pipeline.process(received)
    await IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT)).process(received)

    assert (dump(settings, "events"), dump(settings, "rejected")) == before
    assert pipeline.counts["duplicate"] == 2


async def test_the_latest_of_two_events_with_one_cell_key_is_kept(pipeline: IngestPipeline, settings: Settings) -> None:
    await pipeline.process(message(lines([music_event(1, songId="first", mood="good")])))
    await pipeline.process(message(lines([music_event(1, songId="second")])))

    [(_, _, _, value)] = cells(dump(settings, "events"), "e")
    assert json.loads(value)["song_id"] == "second"
    assert "mood" not in json.loads(value)


async def test_an_event_of_an_earlier_day_marks_that_day_as_late(pipeline: IngestPipeline, settings: Settings) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    events = [music_event(1), music_event(2, timestamp=today.isoformat())]

    await pipeline.process(message(lines(events), published=today + timedelta(days=1)))

    assert [key for key in dump(settings, "state") if key.startswith(b"late#")] == [b"late#20240115"]


async def test_a_contract_with_another_layout_is_an_error(pipeline: IngestPipeline, bigtable: Bigtable) -> None:
    await pipeline.process(message(lines([music_event(1)])))

    other = IngestPipeline(bigtable, load_contract(SPARKIFY_CONTRACT))
    with pytest.raises(LayoutChangedError, match=r"sparkify\.toml.*Found .*session_id.*expected .*event_id"):
        await other.process(message(b"{}"))


async def test_a_missing_table_is_an_error(settings: Settings, empty_instance: Settings) -> None:
    bigtable = Bigtable(empty_instance)
    try:
        with pytest.raises(StoreRefusedError, match=r"state.*NOT_FOUND"):
            await IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT)).process(message(lines([music_event(1)])))
    finally:
        await bigtable.close()


async def test_without_quality_checks_only_events_without_a_cell_key_are_rejected(
    bigtable: Bigtable, settings: Settings
) -> None:
    pipeline = IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT), quality=False)

    await pipeline.process(message(lines([music_event(1, event_type="dance"), music_event(2, userId=...)])))

    assert pipeline.counts == {"messages": 1, "stored": 1, "rejected": 1, "required": 1}
