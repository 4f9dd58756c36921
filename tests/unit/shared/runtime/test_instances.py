"""An instance makes its pipelines once, on the first request; a failure isn't cached."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from unittest.mock import MagicMock, call

import pytest

from shared.aggregate.pipeline import Summary
from shared.config import Settings
from shared.errors import ContractError, SettingsError
from shared.runtime import aggregate_instance, ingest_instance, query_instance
from shared.tables.events import LargeRow
from tests.support.samples import SPARKIFY_CONTRACT


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GCP_PROJECT_ID", "project")
    monkeypatch.setenv("BIGTABLE_INSTANCE", "instance")
    monkeypatch.setattr(ingest_instance.SHUTDOWN, "install", lambda *_: None)  # no server runs in these tests
    monkeypatch.setattr(ingest_instance.gc_tuning, "apply", lambda: None)
    ingest_instance.ingest_pipeline.cache_clear()
    aggregate_instance.aggregate_pipeline.cache_clear()
    query_instance.query_api.cache_clear()
    yield
    query_instance.query_api.cache_clear()
    ingest_instance.ingest_pipeline.cache_clear()
    aggregate_instance.aggregate_pipeline.cache_clear()


def test_each_pipeline_is_made_once() -> None:
    assert ingest_instance.ingest_pipeline() is ingest_instance.ingest_pipeline()
    assert aggregate_instance.aggregate_pipeline() is aggregate_instance.aggregate_pipeline()
    assert query_instance.query_api() is query_instance.query_api()


@pytest.mark.parametrize(("declared", "deadline"), [("", 10.0), ("3", 3.0), ("60", 10.0)])
def test_a_read_of_the_api_fails_after_ten_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, declared: str, deadline: float
) -> None:
    monkeypatch.setenv("SLUICE_STORE_DEADLINE", declared)
    made: list[Settings] = []
    monkeypatch.setattr(query_instance, "Bigtable", made.append)

    query_instance.query_api()

    assert [settings.store_deadline for settings in made] == [deadline]


def test_the_environment_sets_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_CONTRACT", str(SPARKIFY_CONTRACT))

    assert ingest_instance.ingest_pipeline()._contract.name == "sparkify"
    assert aggregate_instance.aggregate_pipeline()._contract.name == "sparkify"


def test_the_environment_sets_the_deadline_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_DAY_DEADLINE", "513")

    assert aggregate_instance.aggregate_pipeline()._deadline == 513


@pytest.mark.parametrize(("declared", "cpu"), [("1", 1.0), ("", None)])
def test_the_environment_sets_the_cpu_of_a_run(
    monkeypatch: pytest.MonkeyPatch, declared: str, cpu: float | None
) -> None:
    monkeypatch.setenv("SLUICE_CPU", declared)

    assert aggregate_instance.aggregate_pipeline()._cpu == cpu


def test_an_invalid_setting_fails_each_time_until_it_is_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGTABLE_INSTANCE")
    for make in (ingest_instance.ingest_pipeline, aggregate_instance.aggregate_pipeline):
        with pytest.raises(SettingsError, match="BIGTABLE_INSTANCE"):
            make()

    monkeypatch.setenv("BIGTABLE_INSTANCE", "instance")
    monkeypatch.setenv("SLUICE_CONTRACT", "nowhere.toml")
    for make in (ingest_instance.ingest_pipeline, aggregate_instance.aggregate_pipeline):
        with pytest.raises(ContractError, match=r"nowhere\.toml: can't be read"):
            make()

    monkeypatch.delenv("SLUICE_CONTRACT")
    assert ingest_instance.ingest_pipeline() is ingest_instance.ingest_pipeline()


def test_summaries_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    ingest, aggregate = ingest_instance.ingest_pipeline(), aggregate_instance.aggregate_pipeline()
    assert ingest._report is not None
    assert aggregate._report is not None
    counts: dict[str, Any] = {"events": 5, "repeated": 1, "rejected": 4, "share_rejected": 0.4, "rows": 3, "swept": 0}
    counts |= {"complete": False, "large_rows": 2}
    horizon = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
    ingest._report(Counter(stored=2))
    for too_many in (False, True):
        aggregate._report(Summary(day=date(2024, 1, 15), horizon=horizon, too_many_rejected=too_many, **counts))

    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line.pop("logging.googleapis.com/labels")["contract"] for line in logged} == {"music"}
    assert logged == [
        {"severity": "INFO", "event": "ingest_summary", "message": "events ingested", "stored": 2},
        {
            "severity": "INFO",
            "event": "day_aggregated",
            "message": "day aggregated",
            "day": "2024-01-15",
            "horizon": "2024-01-15T10:30:00Z",
            "too_many_rejected": False,
            **counts,
        },
        {
            "severity": "WARNING",
            "event": "day_aggregated",
            "message": "day aggregated; too many of its events are rejected",
            "day": "2024-01-15",
            "horizon": "2024-01-15T10:30:00Z",
            "too_many_rejected": True,
            **counts,
        },
    ]


def test_a_large_row_is_logged_with_its_key_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    report = aggregate_instance.aggregate_pipeline()._report_large_row
    assert report is not None

    report(date(2024, 1, 15), LargeRow("0a#20240115#busy%20bot", 61_000_000))

    line = json.loads(capsys.readouterr().out)
    assert (line["severity"], line["event"], line["day"]) == ("WARNING", "large_row", "2024-01-15")
    assert (line["row"], line["bytes"]) == ("0a#20240115#busy%20bot", 61_000_000)
    assert "docs/scale.md leads to hourly rows" in line["message"]


def test_a_shutdown_logs_the_last_counts_and_then_exports_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder, handlers = MagicMock(), []
    monkeypatch.setattr(ingest_instance.metrics, "recorder", lambda exporter: recorder)
    monkeypatch.setattr(ingest_instance.SHUTDOWN, "install", handlers.append)
    pipeline = ingest_instance.ingest_pipeline()
    assert pipeline._report is not None
    pipeline._report(Counter(stored=2))
    recorder.reset_mock()
    pipeline._report.__self__._counts.update(stored=3)  # within the interval of a line

    [close] = handlers
    close()

    assert [each for each in recorder.mock_calls if each != call.__bool__()] == [call(Counter(stored=3)), call.close()]
    assert [json.loads(line)["stored"] for line in capsys.readouterr().out.splitlines()] == [2, 3]


@pytest.mark.parametrize("missing", ["BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"])
async def test_an_emulator_of_one_service_alone_is_refused(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in ("BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"):
        monkeypatch.setenv(name, "127.0.0.1:9")
    monkeypatch.delenv(missing)

    with pytest.raises(
        SettingsError,
        match=f"found [A-Z_]+ without {missing}, expected all of them for emulators or none for Google Cloud",
    ):
        await aggregate_instance.request_days([date(2024, 1, 15), date(2024, 1, 16)])
