"""An instance makes its settings, contract and connection once, on its first event, and a failure isn't for ever."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from shared.aggregate.pipeline import Summary
from shared.errors import ContractError, SettingsError
from shared.runtime import instance
from tests.support.samples import SPARKIFY_CONTRACT


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GCP_PROJECT_ID", "project")
    monkeypatch.setenv("BIGTABLE_INSTANCE", "instance")
    monkeypatch.setattr(instance.SHUTDOWN, "install", lambda *_: None)  # there is no server here that could end
    monkeypatch.setattr(instance.gc_tuning, "apply", lambda: None)
    instance.ingest_pipeline.cache_clear()
    instance.aggregate_pipeline.cache_clear()
    yield
    instance.ingest_pipeline.cache_clear()
    instance.aggregate_pipeline.cache_clear()


def test_both_are_made_once() -> None:
    assert instance.ingest_pipeline() is instance.ingest_pipeline()
    assert instance.aggregate_pipeline() is instance.aggregate_pipeline()


def test_the_environment_says_which_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_CONTRACT", str(SPARKIFY_CONTRACT))

    assert instance.ingest_pipeline()._contract.name == "sparkify"
    assert instance.aggregate_pipeline()._contract.name == "sparkify"


def test_the_environment_says_how_long_a_day_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_DAY_DEADLINE", "513")

    assert instance.aggregate_pipeline()._deadline == 513


def test_a_wrong_setting_is_told_each_time_until_it_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGTABLE_INSTANCE")
    for make in (instance.ingest_pipeline, instance.aggregate_pipeline):
        with pytest.raises(SettingsError, match="BIGTABLE_INSTANCE"):
            make()

    monkeypatch.setenv("BIGTABLE_INSTANCE", "instance")
    monkeypatch.setenv("SLUICE_CONTRACT", "nowhere.toml")
    for make in (instance.ingest_pipeline, instance.aggregate_pipeline):
        with pytest.raises(ContractError, match=r"nowhere\.toml: can't be read"):
            make()

    monkeypatch.delenv("SLUICE_CONTRACT")
    assert instance.ingest_pipeline() is instance.ingest_pipeline()


def test_what_they_did_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    ingestion, aggregation = instance.ingest_pipeline(), instance.aggregate_pipeline()
    assert ingestion._report is not None
    assert aggregation._report is not None
    figures: dict[str, Any] = {"events": 5, "repeated": 1, "rejected": 4, "share_rejected": 0.4, "rows": 3, "swept": 0}
    ingestion._report(Counter(stored=2))
    for too_many in (False, True):
        aggregation._report(Summary(day=date(2024, 1, 15), too_many_rejected=too_many, **figures))

    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line.pop("logging.googleapis.com/labels")["contract"] for line in logged} == {"music"}
    assert logged == [
        {"severity": "INFO", "event": "ingest_summary", "message": "events ingested", "stored": 2},
        {
            "severity": "INFO",
            "event": "day_aggregated",
            "message": "day aggregated",
            "day": "2024-01-15",
            "too_many_rejected": False,
            **figures,
        },
        {
            "severity": "WARNING",
            "event": "day_aggregated",
            "message": "day aggregated; too many of its events are rejected",
            "day": "2024-01-15",
            "too_many_rejected": True,
            **figures,
        },
    ]


@pytest.mark.parametrize("missing", ["BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"])
async def test_a_function_on_an_emulator_asks_google_cloud_for_nothing(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in ("BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"):
        monkeypatch.setenv(name, "127.0.0.1:9")
    monkeypatch.delenv(missing)

    with pytest.raises(
        SettingsError,
        match=f"found [A-Z_]+ without {missing}, expected all of them for emulators or none for Google Cloud",
    ):
        await instance.request_days([date(2024, 1, 15), date(2024, 1, 16)])
