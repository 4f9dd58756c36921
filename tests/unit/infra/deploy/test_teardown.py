"""Teardown revokes roles before it deletes accounts, and skips what doesn't exist."""

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
from infra.provision.resources import ALL_RESOURCES, RESOURCES
from infra.provision.teardown import remove_resources
from shared.config import Settings

TARGET = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))
SCOPE = (TARGET.project, TARGET.instance, TARGET.region)


def performed(target: Target, missing: str = "nothing") -> list[str]:
    """Return the commands of all actions, if lookups with the text `missing` return nothing."""
    changes: list[str] = []

    def call(command: Sequence[str], capture: bool) -> str:
        line = " ".join(command)
        if capture:
            return "" if missing in line or " AND NOT " in line else "it"  # nothing lacks the mark
        changes.append(line)
        return ""

    perform(teardown_steps(target), lambda line: None, call)
    return changes


def test_roles_on_remaining_resources_are_revoked_before_their_account_is_deleted() -> None:
    changes = performed(TARGET)

    for account in ACCOUNTS:
        [deleted] = [n for n, line in enumerate(changes) if f"delete {account.name}@" in line]
        for grant in GRANTS:
            if grant.account == account.name and grant.kind in ("table", "project", "topic"):
                [revoked] = [n for n, line in enumerate(changes) if line == " ".join(grant.revoke_command(*SCOPE))]
                assert revoked < deleted
    assert PUBSUB_AGENT not in " ".join(changes)


@pytest.mark.parametrize(
    ("missing", "skipped"),
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
def test_missing_resources_are_skipped(missing: str, skipped: set[str]) -> None:
    everything = {line.split()[1] for line in performed(TARGET)}

    assert {line.split()[1] for line in performed(TARGET, missing)} == everything - skipped


def test_an_external_account_only_loses_its_roles() -> None:
    replacements = {"sluice-ingest": "x@other.iam.gserviceaccount.com"}

    changes = performed(
        structs.replace(TARGET, accounts=configured_accounts(replacements), grants=configured_grants(replacements))
    )

    external = [line for line in changes if "x@other" in line]
    assert len(external) == sum(grant.account == "sluice-ingest" for grant in GRANTS)
    assert all("remove-iam-policy-binding" in line for line in external)


@pytest.mark.parametrize("disabled", ["jobs", "topics", "tables"])
def test_a_disabled_api_is_skipped(monkeypatch: pytest.MonkeyPatch, disabled: str) -> None:
    def connection(kind: str, *clients: str) -> Any:
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

    monkeypatch.setattr(teardown, "open_schedule", connection("jobs", "client"))
    monkeypatch.setattr(teardown, "open_pubsub", connection("topics", "subscriber", "publisher"))
    monkeypatch.setattr(teardown, "open_bigtable", connection("tables", "admin"))

    lines = remove_resources(Settings("my-project", "my-instance"), tables=True)

    [skipped] = [line for line in lines if line.startswith("skipped")]
    assert "isn't enabled in my-project. Try:\n  gcloud services enable" in skipped
    others = {
        "jobs": {"aggregate-daily", "aggregate-intraday"},
        "topics": {*ALL_RESOURCES.topics, *(each.name for each in ALL_RESOURCES.subscriptions)},
        "tables": {table.name for table in RESOURCES.tables},
    }
    del others[disabled]
    assert {line.split()[2] for line in lines if line.startswith("removed")} == set().union(*others.values())
