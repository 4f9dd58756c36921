"""What the doctor says of what isn't as declared: each difference once, with the command that mends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from infra.doctor import drift
from infra.doctor.local import CheckResult, readable_tables
from infra.provision.plan import Change, ExistingJob, plan_job, plan_subscription, plan_table
from infra.provision.resources import RESOURCES, GcRule, Job, Subscription, Table
from shared.config import Settings
from shared.errors import SettingsError, SluiceError

SETTINGS = Settings("my-project", "my-instance")
LOGIN = "gcloud auth application-default login"


class Credentials:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def refresh(self, request: object) -> None:
        if self.error:
            raise self.error


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Change] | SluiceError]:
    """What the comparison finds, with credentials that hold and tables that can all be read."""
    found: dict[str, list[Change] | SluiceError] = {}
    monkeypatch.setattr(drift, "compare", lambda settings, resources: found.items())
    monkeypatch.setattr("google.auth.default", lambda scopes: (Credentials(), "p"))
    tables = [CheckResult(f"table {table.name}", ok=True, text="can be read") for table in RESOURCES.tables]
    monkeypatch.setattr(drift, "readable_tables", lambda settings: tables)
    return found


def changed(kind: str, **different: Any) -> list[Change]:
    """The changes of what is declared of a kind, found with something else."""
    subscription = Subscription("events-dead-letter-keep", topic="events-dead-letter", retention=timedelta(days=31))
    table = Table("rejected", {"r": GcRule(age=timedelta(days=30))})
    job = Job("aggregate-daily", topic="aggregate-requests", schedule="0 1 * * *", data=b"{}")
    match kind:
        case "subscription":
            return plan_subscription(subscription, type(subscription)(**{**_fields(subscription), **different}))
        case "table":
            return plan_table(table, different["families"])
        case _:
            return plan_job(job, ExistingJob(job, **different))


def _fields(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__dataclass_fields__}


def bad(settings: Settings = SETTINGS) -> list[str]:
    return [f"{finding.what}: {finding.text}" for finding in drift.examine(settings) if not finding.ok]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            lambda: changed("subscription", expires_after=timedelta(days=31)),
            "subscription events-dead-letter-keep: expires after: 31 days → none; `sluice provision`",
        ),
        (
            lambda: changed("subscription", retention=timedelta(days=7)),
            "subscription events-dead-letter-keep: retention: 7 days → 31 days; `sluice provision`",
        ),
        (
            lambda: changed("subscription", filter="attributes.a"),
            "subscription events-dead-letter-keep: filter: attributes.a → none; `sluice provision --force`, and it must "
            "be recreated, and its unacknowledged messages are lost",
        ),
        (
            lambda: changed("table", families={"r": GcRule(age=timedelta(days=3))}),
            "family r of table rejected: keeps 3 days → 30 days; `sluice provision`",
        ),
        (
            lambda: changed("table", families={"r": GcRule()}),
            "family r of table rejected: keeps everything → 30 days; `sluice provision --force`, and existing "
            "cells are deleted",
        ),
        (lambda: changed("table", families=None), "table rejected: missing; `sluice provision`"),
        (lambda: changed("job", state="PAUSED"), "job aggregate-daily: state: paused → enabled; `sluice provision`"),
    ],
)
def test_each_difference_comes_with_the_command_that_mends_it(
    compared: dict[str, Any], changes: Callable[[], list[Change]], expected: str
) -> None:
    compared["it"] = changes()

    assert bad() == [expected]


def test_a_service_that_cant_be_looked_at_doesnt_hide_the_others(compared: dict[str, Any]) -> None:
    compared["tables"] = SettingsError("table events: bigtableadmin.googleapis.com isn't enabled. Try:\n  gcloud ...")
    compared["schedule"] = changed("job", state="PAUSED")

    assert [line.split(":")[0] for line in bad()] == ["tables", "job aggregate-daily"]


def test_a_table_that_is_missing_isnt_told_of_twice(compared: dict[str, Any]) -> None:
    compared["tables"] = changed("table", families=None)

    assert [finding.what for finding in drift.examine(SETTINGS)] == [
        "application-default credentials",
        "table rejected",
        "table events",
        "table aggregates",
        "table state",
    ]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            DefaultCredentialsError("Your default credentials were not found."),
            "Your default credentials were not found.",
        ),
        (RefreshError("Reauthentication is needed.", {"error": "invalid_grant"}), "Reauthentication is needed."),
    ],
)
def test_without_credentials_nothing_else_is_looked_at(
    compared: dict[str, Any], monkeypatch: pytest.MonkeyPatch, found: Exception, text: str
) -> None:
    def default(scopes: list[str]) -> tuple[Credentials, str]:
        if isinstance(found, DefaultCredentialsError):
            raise found
        return Credentials(found), "p"

    monkeypatch.setattr("google.auth.default", default)

    assert list(drift.examine(SETTINGS)) == [
        CheckResult("application-default credentials", ok=False, text=f"{text}; `{LOGIN}`")
    ]


def test_tables_that_cant_be_read_without_credentials_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and not `sluice provision`, which couldn't do anything without them either."""

    def default(*_: object, **__: object) -> None:
        raise DefaultCredentialsError("none found")

    monkeypatch.setattr("google.auth.default", default)

    [finding] = readable_tables(SETTINGS)

    assert finding == CheckResult("tables", ok=False, text=f"credentials of Google Cloud: none found; `{LOGIN}`")
