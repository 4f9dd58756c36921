"""`BigTableClient` reads what it wrote, within the requested range, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.bigtable_client import BigTableClient
from shared.config import Settings
from shared.errors import EventRejectedError, SettingsError
from tests.support.samples import MUSIC_CONTRACT, SPARKIFY_CONTRACT, dump

NOON = datetime(2024, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def client(settings: Settings) -> Iterator[BigTableClient]:
    with BigTableClient(settings=settings) as client:
        yield client


def fill(client: BigTableClient, times: list[datetime]) -> None:
    for number, time in enumerate(times):
        client.write_event("u", f"e{number}", {"event_type": "click", "timestamp": time})


def test_an_event_is_read_as_it_was_written(client: BigTableClient) -> None:
    before = datetime.now(UTC)

    client.write_event(user_id="user123", event_id="event456", event_data={"event_type": "click", "page": "/home"})

    [event] = client.get_user_events("user123")
    assert before <= datetime.fromisoformat(event.pop("timestamp")) <= datetime.now(UTC)
    assert event == {"user_id": "user123", "event_id": "event456", "event_type": "click", "page": "/home"}


def test_writing_a_read_event_again_has_no_effect(client: BigTableClient, settings: Settings) -> None:
    client.write_event("u", "e", {"event_type": "click", "timestamp": "2024-01-15T12:00:00.000123Z"})
    before = dump(settings, "events")
    [event] = client.get_user_events("u", start_time=datetime(2024, 1, 1))

    client.write_event("u", "e", event)

    assert dump(settings, "events") == before


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"event_type": "dance"}, 'event_type: one_of: found "dance", expected one of click'),
        ({}, "event_type: required"),
        (
            {"event_type": "click", "event_id": "other"},
            "event_id: found 'other' in event_data, expected the argument 'e'",
        ),
        ({"event_type": "click", "x": object()}, "event_data: found a value that JSON can't represent"),
        ({"event_type": "click", "x": "\ud800"}, "event_data: found a value that JSON can't represent"),
    ],
)
def test_an_event_that_breaks_the_contract_is_refused(
    client: BigTableClient, settings: Settings, data: dict[str, object], problem: str
) -> None:
    with pytest.raises(EventRejectedError, match=problem):
        client.write_event("u", "e", data)
    assert not dump(settings, "events")


def test_a_composed_id_is_split_into_its_fields(settings: Settings) -> None:
    with BigTableClient(settings=_with_contract(settings, SPARKIFY_CONTRACT)) as client:
        client.write_event("u", "29:7", {"event_type": "Home", "timestamp": NOON})
        [event] = client.get_user_events("u", NOON)
        assert (event["session_id"], event["item_in_session"]) == (29, 7)
        with pytest.raises(EventRejectedError, match="event_id: found '29', expected session_id and item_in_session"):
            client.write_event("u", "29", {"event_type": "Home"})


@pytest.mark.parametrize("ids", ['"digest(record)"', '["timestamp", "event_type"]'])
def test_an_id_that_is_in_the_data_is_no_argument(settings: Settings, tmp_path: Path, ids: str) -> None:
    path = tmp_path / "music.toml"
    path.write_text(MUSIC_CONTRACT.read_text().replace('id = "event_id"', f"id = {ids}"))
    event = {"event_type": "click", "timestamp": NOON, "event_id": "e"}
    with BigTableClient(settings=_with_contract(settings, path)) as client:
        client.write_event("u", "", event)
        client.write_event("u", "", dict(reversed(event.items())))

        assert len(client.get_user_events("u", NOON)) == 1
        with pytest.raises(EventRejectedError, match="event_id: found 'x', expected '', since the id is"):
            client.write_event("u", "x", event)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (NOON, None, [5, 4, 3, 2]),
        (NOON, NOON + timedelta(microseconds=1), [2]),
        (NOON + timedelta(microseconds=1), NOON + timedelta(days=1), [3]),
        (NOON - timedelta(days=1), NOON, [1, 0]),
        (datetime(2024, 1, 15), datetime(2024, 1, 16), [3, 2, 1]),  # naive: UTC
        (datetime(2024, 1, 14), datetime(2024, 1, 15), [0]),
        (datetime(2024, 1, 16), datetime(2024, 1, 18), [5, 4]),
        (NOON, NOON, []),
        (datetime(2025, 1, 1), None, []),
    ],
)
@pytest.mark.parametrize("bucket", ["day", "hour"])
def test_a_range_includes_its_start_and_excludes_its_end(
    settings: Settings, tmp_path: Path, bucket: str, start: datetime, end: datetime | None, expected: list[int]
) -> None:
    contract = tmp_path / "contract.toml"
    contract.write_text(MUSIC_CONTRACT.read_text().replace('bucket = "day"', f'bucket = "{bucket}"'))
    with BigTableClient(settings=_with_contract(settings, contract)) as client:
        fill(
            client,
            [
                NOON - timedelta(days=1),
                NOON - timedelta(microseconds=1),
                NOON,
                NOON + timedelta(hours=11, minutes=59, seconds=59, microseconds=999_999),
                NOON + timedelta(days=1),
                NOON + timedelta(days=2),
            ],
        )

        found = client.get_user_events("u", start, end)

        assert [int(event["event_id"][1:]) for event in found] == expected


@pytest.mark.parametrize("limit", [0, 1, 3, 7, 100])
def test_a_limit_returns_the_newest_events(client: BigTableClient, limit: int) -> None:
    now = datetime.now(UTC)
    fill(client, [now - timedelta(days=days, minutes=minute) for days in (0, 1, 2, 9, 40) for minute in (1, 2)])

    for start in (None, now - timedelta(days=300)):
        found = client.get_user_events("u", start_time=start, limit=limit)
        assert [event["event_id"] for event in found] == [f"e{number}" for number in range(10)][:limit]


def test_users_with_a_common_prefix_have_separate_events(client: BigTableClient) -> None:
    users = ["a", "a#", "a%23", "ab", "", "a\n", "ä", "a\0", "😀"]
    for user in users[:4] + users[5:]:
        client.write_event(user, "e", {"event_type": "click"})
        assert [event["user_id"] for event in client.get_user_events(user)] == [user]
    with pytest.raises(EventRejectedError, match="user_id: null"):
        client.write_event("", "e", {"event_type": "click"})


def test_aggregates_are_read_as_they_were_written(client: BigTableClient) -> None:
    stats = {"total_events": 100, "unique_songs": 25, "mean": 1.5, "none": None, "list": [1, "two"], "größe #%": True}

    client.write_aggregate("user", "user#1", datetime(2024, 1, 15), stats)

    assert client.get_daily_aggregates("user", "user#1", date(2024, 1, 15)) == stats
    assert client.get_daily_aggregates("user", "user#1", datetime(2024, 1, 16)) == {}
    assert client.get_daily_aggregates("user", "user", date(2024, 1, 15)) == {}
    assert client.get_top("user", "total_events", date(2024, 1, 15)) == [("user#1", stats)]
    span = client.get_merged_aggregates("user", "user#1", date(2024, 1, 14), datetime(2024, 1, 15))
    assert (span.days, span.measures, sorted(span.unmerged)) == (1, {}, sorted(stats))
    with pytest.raises(ValueError, match="last_date: found 2024-01-14, expected 2024-01-15"):
        client.get_merged_aggregates("user", "user#1", date(2024, 1, 15), date(2024, 1, 14))


def test_invalid_arguments_are_refused(client: BigTableClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="limit: found -1"):
        client.get_user_events("u", limit=-1)
    with pytest.raises(ValueError, match="end_time"):
        client.get_user_events("u", NOON, NOON - timedelta(seconds=1))
    for value in (object(), float("nan"), float("inf"), Decimal("1.5"), (1, 2), {1: 1}, "\ud800"):
        with pytest.raises(ValueError, match="stats: x: "):
            client.write_aggregate("user", "u", NOON, {"x": value})
    for name in ("", "_x", "x" * 20_000):
        with pytest.raises(ValueError, match="stats: found"):
            client.write_aggregate("user", "u", NOON, {name: 1})
    for dimension in ("", "_x", "quality", "d" * 5_000):
        with pytest.raises(ValueError, match="dimension: found"):
            client.write_aggregate(dimension, "u", NOON, {"x": 1})
    wrong: Any = 5
    for call in (
        lambda: client.get_user_events(wrong),
        lambda: client.write_aggregate("user", wrong, NOON, {"x": 1}),
        lambda: client.write_aggregate("user", "u", wrong, {"x": 1}),
        lambda: client.write_aggregate("user", "u", NOON, {wrong: 1}),
        lambda: client.get_daily_aggregates("user", "u", wrong),
        lambda: client.write_event("u", "e", wrong),
    ):
        with pytest.raises(TypeError, match=r"found .*, expected"):
            call()
    assert client.get_user_events("u", end_time=datetime.min) == []
    monkeypatch.delenv("GCP_PROJECT_ID", raising=False)
    with pytest.raises(SettingsError, match="GCP_PROJECT_ID"):
        BigTableClient(instance_id="i")


async def test_the_client_works_in_a_running_event_loop(settings: Settings) -> None:
    client = BigTableClient(settings=settings)  # as in a notebook
    client.write_event("u", "e", {"event_type": "click"})
    assert len(client.get_user_events("u")) == 1
    client.close()
    assert len(client.get_user_events("u")) == 1
    client.close()


def _with_contract(settings: Settings, contract: Path) -> Settings:
    return replace(settings, contract=contract)
