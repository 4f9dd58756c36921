"""The function `query` over the tables that the pipelines fill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from functions_framework.aio import create_asgi_app

from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.runtime import query_instance
from shared.tables.aggregates import AggregatesTable
from shared.tables.state import StateTable
from tests.support.http import HttpAnswer, get
from tests.support.samples import MUSIC_CONTRACT, ROOT, lines, message, music_event

DAY = date(2024, 1, 15)
PUBLISHED = datetime(2024, 1, 15, 12, tzinfo=UTC)
RANGE = {"from": "2024-01-14", "to": "2024-01-16"}


class Api:
    """The function over the tables of a test."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def get(self, path: str, parameters: dict[str, Any] | None = None, **options: Any) -> HttpAnswer:
        return await get(self._app, path, parameters, **options)

    async def pages(self, path: str, parameters: dict[str, Any]) -> list[list[Any]]:
        """Return the events of each page."""
        pages: list[list[Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = await self.get(path, {**parameters, **cursor})
            assert answer.status == 200, answer.body
            pages.append(answer.json()["events"])
            if (following := answer.json()["next"]) is None:
                return pages
            cursor = {"cursor": following}


@pytest.fixture
def api(settings: Settings, bigtable: Bigtable, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("GCP_PROJECT_ID", settings.project_id)
    monkeypatch.setenv("BIGTABLE_INSTANCE", settings.instance_id)
    monkeypatch.setenv("SLUICE_LOOKBACK_DAYS", "36500")
    monkeypatch.setattr(query_instance, "Bigtable", lambda settings: bigtable)
    monkeypatch.setattr(query_instance.gc_tuning, "apply", lambda: None)
    query_instance.query_api.cache_clear()
    yield Api(create_asgi_app("query", str(ROOT / "functions" / "query" / "main.py"), "http"))
    query_instance.query_api.cache_clear()


async def ingest(
    bigtable: Bigtable, *events: dict[str, Any], contract: Path = MUSIC_CONTRACT, published: datetime = PUBLISHED
) -> None:
    pipeline = IngestPipeline(bigtable, load_contract(contract))
    await pipeline.process(message(lines(events), published=published))


async def test_the_pages_of_a_user_hold_every_event_once_newest_first(api: Api, bigtable: Bigtable) -> None:
    """Also events of the same microsecond, and of several days."""
    last = "2024-01-15T23:59:59.999999Z"
    events = [music_event(number, userId="u", event_id=f"e{number:02d}", timestamp=last) for number in range(7)]
    events += [
        music_event(number, userId="u", event_id=f"e{number:02d}", timestamp=f"2024-01-{number:02d}T00:00:00Z")
        for number in range(10, 22)
    ]
    later = datetime(2024, 1, 25, tzinfo=UTC)  # no event is in its future
    await ingest(bigtable, *events, music_event(99, userId="other"), published=later)

    for limit in (1, 2, 5, 100):
        pages = await api.pages("/v1/events", {"user": "u", "limit": limit})
        found = [event for page in pages for event in page]
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert len(found) == len(events)
        assert len({event["event_id"] for event in found}) == len(events)
        assert [event["timestamp"] for event in found] == sorted((e["timestamp"] for e in found), reverse=True)


@pytest.mark.slow
async def test_events_of_hourly_rows_are_paged_alike(
    api: Api, bigtable: Bigtable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = tmp_path / "hourly.toml"
    contract.write_text(MUSIC_CONTRACT.read_text().replace('bucket = "day"', 'bucket = "hour"'))
    monkeypatch.setenv("SLUICE_CONTRACT", str(contract))
    times = [f"2024-01-15T{hour:02d}:{minute:02d}:00Z" for hour in (3, 4, 9) for minute in (0, 30)]
    events = [music_event(number, userId="u", timestamp=time) for number, time in enumerate(times)]
    await ingest(bigtable, *events, contract=contract)

    pages = await api.pages("/v1/events", {"user": "u", "limit": 4})

    assert [[event["timestamp"] for event in page] for page in pages] == [times[:1:-1], times[1::-1]]


async def test_a_range_of_a_users_events_has_an_inclusive_start_and_an_exclusive_end(
    api: Api, bigtable: Bigtable
) -> None:
    await ingest(bigtable, *(music_event(number, userId="ü/#") for number in range(5)))

    span = {"start": "2024-01-15T00:00:01Z", "end": "2024-01-15T05:00:04+05:00"}
    pages = await api.pages("/v1/events", {"user": "ü/#", **span, "limit": 2})

    assert [[event["event_id"] for event in page] for page in pages] == [["evt-000003", "evt-000002"], ["evt-000001"]]


async def test_measures_top_lists_and_quality_are_those_of_the_run(api: Api, bigtable: Bigtable) -> None:
    await ingest(bigtable, *(music_event(number) for number in range(12)), music_event(1, userId=""))
    await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    value = await api.get("/v1/aggregates", {"dimension": "all", "value": "all", **RANGE})
    top = await api.get("/v1/top", {"dimension": "song", "measure": "plays", "day": "2024-01-15", "limit": 2})
    quality = await api.get("/v1/quality", RANGE)

    merged = await api.get("/v1/merged", {"dimension": "all", "value": "all", **RANGE})
    assert {name: merged.json()[name] for name in ("days", "unmerged", "not_computed")} == {
        "days": 1,
        "unmerged": {},
        "not_computed": ["2024-01-14", "2024-01-16"],
    }
    [day] = value.json()["days"]
    assert merged.json()["measures"] == day["measures"]
    assert (day["day"], day["measures"]["total_events"]) == ("2024-01-15", 12)
    assert [(each["value"], each["measures"]["plays"]) for each in top.json()["values"]] == [
        ("song-0", 2),
        ("song-1", 1),
    ]
    [day] = quality.json()["days"]
    assert (day["measures"]["stored"], day["measures"]["rejected"], day["rejected"]) == (12, 1, {"null": 1})


async def test_the_quality_of_unchanged_runs_is_not_read_again(
    api: Api, bigtable: Bigtable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(bigtable, music_event(1))
    pipeline = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await pipeline.run(DAY)
    first = await api.get("/v1/quality", RANGE)

    with monkeypatch.context() as patched:
        patched.setattr(AggregatesTable, "of_day", None)
        again = await api.get("/v1/quality", RANGE, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    await pipeline.run(DAY)
    after_run = await api.get("/v1/quality", RANGE, headers={"If-None-Match": first.headers["etag"]})

    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert after_run.status == 200
    assert after_run.headers["etag"] != first.headers["etag"]


async def test_measures_written_by_hand_change_the_entity_tag(api: Api, bigtable: Bigtable) -> None:
    """No run is involved, so the tag of measures can't be that of the run."""
    table = AggregatesTable(bigtable, StateTable(bigtable))
    parameters = {"dimension": "user", "value": "u", **RANGE}
    await table.write_by_hand("user", "u", DAY, {"total_events": 1})
    first = await api.get("/v1/aggregates", parameters)
    same = await api.get("/v1/aggregates", parameters, headers={"if-none-match": first.headers["etag"]})
    await table.write_by_hand("user", "u", DAY, {"total_events": 2})
    changed = await api.get("/v1/aggregates", parameters, headers={"if-none-match": first.headers["etag"]})

    assert [first.status, same.status, changed.status] == [200, 304, 200]
    assert changed.json()["days"][0]["measures"] == {"total_events": 2}


async def test_rejected_events_have_their_bytes_and_findings(api: Api, bigtable: Bigtable) -> None:
    bad = [music_event(number, userId="") for number in range(8)] + [music_event(9, timestamp="never")]
    await ingest(bigtable, *bad, music_event(10))

    pages = await api.pages("/v1/rejected", {"day": "2024-01-15", "limit": 4})
    of_rule = await api.get("/v1/rejected", {"day": "2024-01-15", "rule": "type"})
    other_day = await api.get("/v1/rejected", {"day": "2024-01-16"})

    assert [len(page) for page in pages] == [4, 4, 1]
    assert len({event["raw"] for page in pages for event in page}) == 9
    [event] = of_rule.json()["events"]
    assert (event["rules"], event["findings"][0]["field"], event["source"]) == (["type"], "timestamp", "1")
    assert other_day.json() == {"events": [], "next": None}


async def test_days_have_their_run_and_their_late_mark(api: Api, bigtable: Bigtable) -> None:
    await ingest(bigtable, music_event(1))
    await AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT)).run(DAY)

    answer = (await api.get("/v1/days", {"from": "2024-01-15", "to": "2024-01-16"})).json()

    first, second = answer["days"]
    assert (first["run"]["events"], first["run"]["complete"], first["late"]) == (1, True, True)
    assert (second["run"], second["late"]) == (None, False)
    assert answer["late_days"] == ["2024-01-15"]
    started = datetime.fromisoformat(first["run"]["started"])
    assert timedelta() < datetime.now(UTC) - started < timedelta(minutes=5)


async def test_head_has_the_headers_of_get_and_no_body(api: Api, bigtable: Bigtable) -> None:
    await ingest(bigtable, music_event(1))
    parameters = {"user": "user-1"}

    found = await api.get("/v1/events", parameters)
    head = await api.get("/v1/events", parameters, method="HEAD")

    assert found.headers["content-length"] == str(len(found.body))
    assert (head.status, head.headers, head.body) == (200, found.headers, b"")


async def test_a_cursor_of_other_parameters_is_a_problem(api: Api, bigtable: Bigtable) -> None:
    await ingest(bigtable, music_event(1, userId="u"), music_event(2, userId="u"))
    first = (await api.get("/v1/events", {"user": "u", "limit": 1})).json()

    other = await api.get("/v1/events", {"user": "v", "cursor": first["next"]})
    same = await api.get("/v1/events", {"user": "u", "cursor": first["next"], "limit": 50})

    assert other.status == 400
    assert other.json()["errors"][0]["parameter"] == "cursor"
    assert len(same.json()["events"]) == 1


async def test_missing_tables_are_a_500_without_their_names_and_one_log_line(
    api: Api, empty_instance: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_tables = Bigtable(empty_instance)
    monkeypatch.setattr(query_instance, "Bigtable", lambda settings: without_tables)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    answer = await api.get("/v1/events", {"user": "u"}, headers={"traceparent": trace})

    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert empty_instance.project_id not in answer.body.decode()
    await without_tables.close()
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event"], line["severity"]) == ("query_failed", "ERROR")
    assert line["logging.googleapis.com/trace"].endswith("/0af7651916cd43dd8448eb211c80319c")
