"""Check for drift and for unreadable tables, with Google's clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from infra.doctor.local import CheckResult, readable_tables
from infra.provision.google_api import LOGIN
from infra.provision.plan import Change
from infra.provision.provisioner import compare
from infra.provision.resources import RESOURCES, Resources
from shared.config import Settings
from shared.errors import SluiceError

_REMEDY = "sluice provision"
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def examine(settings: Settings, declare: Callable[[], Resources], *, remedy: str = _REMEDY) -> Iterator[CheckResult]:
    """Check a project on Google Cloud; stops at missing credentials, which are separate from those of gcloud.

    Args:
        settings: of the project.
        declare: returns the declared resources; raises SluiceError if it can't find the addresses of the functions.
        remedy: the command that makes the resources as declared.
    """
    valid = credentials()
    yield valid
    if not valid.ok:
        return
    try:
        resources = declare()
    except SluiceError as error:
        yield CheckResult("addresses of the functions", ok=False, text=str(error))
        return
    results = list(find_drift(settings, resources, remedy=remedy))
    yield from results
    reported = {result.what for result in results}
    yield from (result for result in readable_tables(settings) if result.what not in reported)


def credentials() -> CheckResult:
    """Check that application-default credentials exist and are valid."""
    what = "application-default credentials"
    try:
        default, _ = google.auth.default(scopes=_SCOPES)
        default.refresh(Request())
    except GoogleAuthError as error:
        return CheckResult(what, ok=False, text=f"{error.args[0] if error.args else error}; `{LOGIN}`")
    return CheckResult(what, ok=True, text="valid")


def find_drift(settings: Settings, resources: Resources = RESOURCES, *, remedy: str = _REMEDY) -> Iterator[CheckResult]:
    """Compare topics, subscriptions, tables and the job with their declaration, as `sluice provision` does."""
    for what, outcome in compare(settings, resources):
        if isinstance(outcome, SluiceError):
            yield CheckResult(what, ok=False, text=str(outcome))
        elif isinstance(outcome, str):
            yield CheckResult(what, ok=True, text=outcome)
        elif outcome:
            yield from (_result(change, remedy) for change in outcome)
        else:
            yield CheckResult(what, ok=True, text="as declared")


def _result(change: Change, remedy: str) -> CheckResult:
    text = "missing" if change.action == "create" else change.text
    match change.action:
        case "refuse":
            return CheckResult(change.title, ok=False, text=f"{text}; {change.refusal()}")
        case "adopt":
            command = f"`{remedy} --adopt` takes it over"
        case _:
            command = f"`{remedy} --force`, and {change.loses}" if change.loses else f"`{remedy}`"
    return CheckResult(change.title, ok=False, text=f"{text}; {command}")
