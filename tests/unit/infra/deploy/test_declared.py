"""The resources of a deployment follow its file, and push to the functions that are deployed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from infra.deploy import declared
from infra.deploy.config import load
from infra.provision.resources import PUSHED, RESOURCES
from shared.config import Settings

SETTINGS = Settings("my-project", "my-instance")
URL = "https://ingest-x-uc.a.run.app"


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `ingest` is deployed."""

    def function_urls(settings: Settings, functions: tuple[str, ...]) -> dict[str, str]:
        assert (settings, functions) == (SETTINGS, PUSHED)
        return {"ingest": URL}

    monkeypatch.setattr(declared, "function_urls", function_urls)


def test_the_default_file_changes_only_the_pushes() -> None:
    expected = RESOURCES.with_push({"ingest": URL}, "sluice-push@my-project.iam.gserviceaccount.com")

    assert declared.cloud_resources(SETTINGS, load()) == expected


def test_a_file_declares_the_intraday_job(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[intraday]\nevery_minutes = 15\n")

    [daily, intraday] = declared.cloud_resources(SETTINGS, load(file)).jobs

    assert (daily,) == RESOURCES.jobs
    assert (intraday.name, intraday.topic, intraday.schedule) == (
        "aggregate-intraday",
        "aggregate-requests",
        "*/15 * * * *",
    )


def test_a_file_sets_retention_topic_and_identity(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[all]\npush_service_account = 'mine@other.iam.gserviceaccount.com'\n"
        "[ingest]\ntopic = 'clicks'\n[tables.events]\nretention = '400d'\n"
    )

    resources = declared.cloud_resources(SETTINGS, load(file))

    ages = {table.name: {rule.age for rule in table.families.values()} for table in resources.tables}
    assert ages["events"] == {timedelta(days=400)}
    assert ages["rejected"] == {timedelta(days=30)}
    [ingest] = [each for each in resources.subscriptions if each.function == "ingest"]
    assert (ingest.topic, ingest.push_endpoint, ingest.push_account) == (
        "clicks",
        URL,
        "mine@other.iam.gserviceaccount.com",
    )
