"""Find out what isn't as declared, and what can't be read, by the clients that `sluice` itself uses."""

from __future__ import annotations

from collections.abc import Iterator

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

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def examine(settings: Settings) -> Iterator[CheckResult]:
    """Look at a project on Google Cloud; without credentials, which gcloud's own aren't, at nothing else."""
    found = credentials()
    yield found
    if not found.ok:
        return
    different = list(differences(settings))
    yield from different
    told = {finding.what for finding in different}
    yield from (finding for finding in readable_tables(settings) if finding.what not in told)


def credentials() -> CheckResult:
    """Look whether there are application-default credentials, and whether they still hold."""
    what = "application-default credentials"
    try:
        found, _ = google.auth.default(scopes=_SCOPES)
        found.refresh(Request())
    except GoogleAuthError as error:
        return CheckResult(what, ok=False, text=f"{error.args[0] if error.args else error}; `{LOGIN}`")
    return CheckResult(what, ok=True, text="valid")


def differences(settings: Settings, resources: Resources = RESOURCES) -> Iterator[CheckResult]:
    """Compare topics, subscriptions, tables and the job as `sluice provision` does."""
    for what, found in compare(settings, resources):
        if isinstance(found, SluiceError):
            yield CheckResult(what, ok=False, text=str(found))
        elif found:
            yield from map(_finding, found)
        else:
            yield CheckResult(what, ok=True, text="as declared")


def _finding(change: Change) -> CheckResult:
    text = "missing" if change.action == "create" else change.text
    mend = f"`sluice provision --force`, and {change.loses}" if change.loses else "`sluice provision`"
    return CheckResult(change.title, ok=False, text=f"{text}; {mend}")
