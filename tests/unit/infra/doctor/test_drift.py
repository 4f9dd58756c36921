"""The doctor reports each difference from the declaration once, with the command that fixes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from infra.doctor import drift
from infra.doctor.local import CheckResult, readable_tables
from infra.provision.plan import Change, ExistingJob, plan_job, plan_subscription, plan_table
from infra.provision.resource_types import GcRule, Job, Subscription, Table
from infra.provision.resources import RESOURCES, Resources
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
    """The outcomes of the comparison; the credentials are valid and all tables are readable."""
    outcomes: dict[str, list[Change] | SluiceError] = {}
    monkeypatch.setattr(drift, "compare", lambda settings, resources: outcomes.items())
    monkeypatch.setattr("google.auth.default", lambda scopes: (Credentials(), "p"))
    tables = [CheckResult(f"table {table.name}", ok=True, text="can be read") for table in RESOURCES.tables]
    monkeypatch.setattr(drift, "readable_tables", lambda settings: tables)
    return outcomes


def changed(kind: str, **different: Any) -> list[Change]:
    """Return the changes of a declared resource that exists with other values."""
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


def examine(**options: Any) -> list[CheckResult]:
    return list(drift.examine(SETTINGS, lambda: RESOURCES, **options))


def problems(**options: Any) -> list[str]:
    return [f"{result.what}: {result.text}" for result in examine(**options) if not result.ok]


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
            "subscription events-dead-letter-keep: filter: attributes.a → none; `sluice provision --force`, and it "
            "must be recreated, and its unacknowledged messages are lost",
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
def test_each_difference_comes_with_the_command_that_fixes_it(
    compared: dict[str, Any], changes: Callable[[], list[Change]], expected: str
) -> None:
    compared["it"] = changes()

    assert problems() == [expected]


def test_the_command_names_the_file_that_declares_a_retention(compared: dict[str, Any]) -> None:
    compared["it"] = changed("table", families={"r": GcRule(age=timedelta(days=3))})

    assert problems(remedy="sluice provision --config mine.toml") == [
        "family r of table rejected: keeps 3 days → 30 days; `sluice provision --config mine.toml`"
    ]


def test_a_note_of_the_comparison_is_no_problem(compared: dict[str, Any]) -> None:
    compared["family r of table rejected"] = "keeps 60 days, which stays"

    assert problems() == []
    assert CheckResult("family r of table rejected", ok=True, text="keeps 60 days, which stays") in examine()


def test_functions_that_cant_be_read_are_a_problem(compared: dict[str, Any]) -> None:
    def declare() -> Resources:
        raise SettingsError("function ingest: the permission that roles/cloudfunctions.viewer gives is missing")

    results = list(drift.examine(SETTINGS, declare))

    assert [result.ok for result in results] == [True, False]
    assert results[-1].what == "addresses of the functions"
    assert "roles/cloudfunctions.viewer" in results[-1].text


def test_other_services_are_checked_after_an_error(compared: dict[str, Any]) -> None:
    compared["tables"] = SettingsError("table events: bigtableadmin.googleapis.com isn't enabled. Try:\n  gcloud ...")
    compared["schedule"] = changed("job", state="PAUSED")

    assert [line.split(":")[0] for line in problems()] == ["tables", "job aggregate-daily"]


def test_a_missing_table_is_reported_once(compared: dict[str, Any]) -> None:
    compared["tables"] = changed("table", families=None)

    assert [result.what for result in examine()] == [
        "application-default credentials",
        "table rejected",
        "table events",
        "table aggregates",
        "table state",
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            DefaultCredentialsError("Your default credentials were not found."),
            "Your default credentials were not found.",
        ),
        (RefreshError("Reauthentication is needed.", {"error": "invalid_grant"}), "Reauthentication is needed."),
    ],
)
def test_checks_stop_without_valid_credentials(
    compared: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def default(scopes: list[str]) -> tuple[Credentials, str]:
        if isinstance(error, DefaultCredentialsError):
            raise error
        return Credentials(error), "p"

    monkeypatch.setattr("google.auth.default", default)

    assert examine() == [CheckResult("application-default credentials", ok=False, text=f"{text}; `{LOGIN}`")]


def test_reading_tables_without_credentials_names_the_login_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and not `sluice provision`, which needs credentials as well."""

    def default(*_: object, **__: object) -> None:
        raise DefaultCredentialsError("none found")

    monkeypatch.setattr("google.auth.default", default)

    [result] = readable_tables(SETTINGS)

    assert result == CheckResult("tables", ok=False, text=f"credentials of Google Cloud: none found; `{LOGIN}`")
