"""What destroying a project takes back before it deletes accounts, what it leaves, and that nothing is in its way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions
from msgspec import structs

from infra.deploy.gcloud import perform
from infra.deploy.iam import ACCOUNTS, GRANTS, PUBSUB_AGENT, configured_accounts, configured_grants
from infra.deploy.steps import Target
from infra.deploy.teardown import teardown_steps
from infra.provision import teardown
from infra.provision.resources import RESOURCES
from infra.provision.teardown import remove_resources
from shared.config import Settings

TARGET = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))
PLACE = (TARGET.project, TARGET.instance, TARGET.region)


def done(target: Target, missing: str = "nothing") -> list[str]:
    """The commands that change something, where all is there but look-ups with those words find nothing."""
    changes: list[str] = []

    def call(command: Sequence[str], wanted: bool) -> str:
        line = " ".join(command)
        if wanted:
            return "" if missing in line else "it"
        changes.append(line)
        return ""

    perform(teardown_steps(target), lambda line: None, call)
    return changes


def test_every_role_on_what_stays_is_taken_back_before_its_account_goes() -> None:
    changes = done(TARGET)

    for account in ACCOUNTS:
        [deleted] = [n for n, line in enumerate(changes) if f"delete {account.name}@" in line]
        for grant in GRANTS:
            if grant.account == account.name and grant.kind in ("table", "project", "topic"):
                [taken] = [n for n, line in enumerate(changes) if line == " ".join(grant.revoke_command(*PLACE))]
                assert taken < deleted
    assert PUBSUB_AGENT not in " ".join(changes)


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("services list", {"functions", "alpha", "logging", "bigtable", "pubsub", "projects", "iam"}),
        ("cloudfunctions", {"functions"}),
        ("functions list", {"functions"}),
        ("instances list", {"bigtable"}),
        ("tables list", {"bigtable"}),
        ("topics list", {"pubsub"}),
        ("get-iam-policy", {"bigtable", "pubsub", "projects"}),
        ("service-accounts list", {"bigtable", "pubsub", "projects", "iam"}),
    ],
)
def test_what_isnt_there_is_passed_over_and_the_rest_removed(missing: str, gone: set[str]) -> None:
    everything = {line.split()[1] for line in done(TARGET)}

    assert {line.split()[1] for line in done(TARGET, missing)} == everything - gone


def test_an_account_of_others_stays_without_its_roles() -> None:
    replacements = {"sluice-ingest": "x@other.iam.gserviceaccount.com"}

    changes = done(
        structs.replace(TARGET, accounts=configured_accounts(replacements), grants=configured_grants(replacements))
    )

    theirs = [line for line in changes if "x@other" in line]
    assert len(theirs) == sum(grant.account == "sluice-ingest" for grant in GRANTS)
    assert all("remove-iam-policy-binding" in line for line in theirs)


@pytest.mark.parametrize("disabled", ["jobs", "topics", "tables"])
def test_an_api_that_isnt_enabled_doesnt_stop_the_rest(monkeypatch: pytest.MonkeyPatch, disabled: str) -> None:
    def opening(kind: str, *clients: str) -> Any:
        def delete(**_: object) -> None:
            if kind == disabled:
                raise exceptions.PermissionDenied("The API has not been used in project 42 before or it is disabled.")

        client = SimpleNamespace(
            delete_job=delete, delete_subscription=delete, delete_topic=delete, delete_table=delete
        )

        @contextmanager
        def connect(settings: Settings, resources: object) -> Any:
            yield SimpleNamespace(**dict.fromkeys(clients, client))

        return connect

    monkeypatch.setattr(teardown, "open_schedule", opening("jobs", "client"))
    monkeypatch.setattr(teardown, "open_pubsub", opening("topics", "subscriber", "publisher"))
    monkeypatch.setattr(teardown, "open_bigtable", opening("tables", "admin"))

    lines = remove_resources(Settings("my-project", "my-instance"), tables=True)

    [skipped] = [line for line in lines if line.startswith("skipped")]
    assert "isn't enabled in my-project. Try:\n  gcloud services enable" in skipped
    others = {
        "jobs": {job.name for job in RESOURCES.jobs},
        "topics": {*RESOURCES.topics, *(each.name for each in RESOURCES.subscriptions)},
        "tables": {table.name for table in RESOURCES.tables},
    }
    del others[disabled]
    assert {line.split()[2] for line in lines if line.startswith("removed")} == set().union(*others.values())
