"""Results of the doctor for a complete and for an incomplete project, with a fake gcloud."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from infra.deploy.alerts import metrics
from infra.deploy.iam import ACCOUNTS, GRANTS, load_grants
from infra.deploy.steps import APIS, Target
from infra.doctor.cloud import examine
from infra.doctor.local import CheckResult
from shared.errors import MissingProgramError, PermanentError

TARGET = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))


class Project:
    """A fake gcloud for a complete project; `overrides` maps a part of a command to another output or an error."""

    def __init__(self) -> None:
        self.overrides: dict[str, str | Exception] = {}
        self.commands: list[tuple[str, ...]] = []

    def __call__(self, command: Sequence[str]) -> str:
        self.commands.append(tuple(command))
        line = shlex.join(command)
        for part, output in self.overrides.items():
            if part in line:
                if isinstance(output, Exception):
                    raise output
                return output
        return self._default_output(command[1:], line)

    def _default_output(self, words: Sequence[str], line: str) -> str:
        if "get-iam-policy" in words:
            # Every policy contains all roles of all accounts.
            bindings = [
                {"role": grant.role, "members": [grant.member("my-project").replace("${NUMBER}", "123")]}
                for grant in (*GRANTS, *load_grants("my-drops"))
            ]
            return json.dumps({"bindings": bindings})
        match words[0], words[1]:
            case "auth", _:
                return "me@example.com"
            case "projects", _:
                return "123"
            case "services", _:
                return "\n".join(f"{api}.googleapis.com" for api in APIS)
            case "bigtable", "instances":
                return "READY"
            case "iam", _:
                return "\n".join(account.email("my-project") for account in ACCOUNTS)
            case "logging", _:
                return "\n".join(metrics("sluice"))
            case "alpha", _:
                return "projects/my-project/alertPolicies/7"
            case "functions", _:
                return "ACTIVE"
            case "storage", _:
                return "7"
            case _:
                raise AssertionError(line)


@pytest.fixture
def project() -> Project:
    return Project()


def problems(project: Project) -> list[str]:
    return [f"{result.what}: {result.text}" for result in examine(TARGET, project) if not result.ok]


def test_a_complete_project_has_no_problems(project: Project) -> None:
    results = list(examine(TARGET, project))

    assert [result for result in results if not result.ok] == []
    checked = {result.what for result in results}
    assert {"APIs", "accounts", "metrics", "roles on project"} <= checked
    assert {
        "function ingest",
        "roles on subscription events-ingest",
        "alert dead-letters",
        "roles on table state",
    } <= checked


@pytest.mark.parametrize(
    ("part", "output", "expected"),
    [
        (
            "services list",
            "run.googleapis.com",
            "APIs: pubsub.googleapis.com is missing; `gcloud services enable pubsub",
        ),
        (
            "instances describe",
            PermanentError("ERROR: not found"),
            "instance my-instance: ERROR: not found; `gcloud bigt",
        ),
        (
            "service-accounts list",
            "",
            "accounts: sluice-build@my-project.iam.gserviceaccount.com is missing; `gcloud iam",
        ),
        ("metrics list", "", "metrics: sluice_stored is missing; `sluice deploy`"),
        ("userLabels.alert=dead-letters", "", "alert dead-letters: found none; `sluice deploy`"),
        ("describe ingest --gen2", PermanentError("ERROR: 404"), "function ingest: ERROR: 404; `sluice deploy`"),
        ("describe aggregate --gen2", "FAILED", "function aggregate: found FAILED, expected ACTIVE; `sluice deploy`"),
        (
            "run services get-iam-policy ingest",
            "{}",
            "roles on service ingest: roles/run.invoker is missing, to call the function; "
            "`gcloud run services add-iam-policy",
        ),
        (
            "get-iam-policy aggregate-requests",
            "{}",
            "roles on topic aggregate-requests: roles/pubsub.publisher is missing, to request each of several days "
            "separately; `gcloud pubsub topics add-iam-policy-binding aggregate-requests "
            "--member=serviceAccount:sluice-aggregate@my-project.iam.gserviceaccount.com",
        ),
        (
            "get-iam-policy events-dead-letter",
            "",
            "--member=serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com --role=roles/pubsub.publisher",
        ),
        (
            "get-iam-policy events-ingest",
            "{}",
            "roles on subscription events-ingest: roles/pubsub.subscriber is missing, to acknowledge dead letters",
        ),
        (
            "projects get-iam-policy",
            "{}",
            "roles on project: roles/pubsub.serviceAgent is missing, to sign the tokens of pushes; "
            "`gcloud projects add-iam-policy-binding my-project "
            "--member=serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com --role=roles/pubsub.serviceAg",
        ),
        ("projects get-iam-policy", PermanentError("ERROR: denied"), "roles on project: ERROR: denied"),
    ],
)
def test_a_problem_comes_with_the_command_that_fixes_it(
    project: Project, part: str, output: str | Exception, expected: str
) -> None:
    project.overrides[part] = output

    lines = problems(project)

    assert [line for line in lines if expected in line], lines


@pytest.mark.parametrize(
    ("part", "output", "expected"),
    [
        ("auth list", "", "credentials: gcloud has no active account; `gcloud auth login"),
        ("auth list", PermanentError("ERROR: expired"), "credentials: ERROR: expired; `gcloud auth login"),
        ("auth list", MissingProgramError("the Google Cloud CLI isn't installed"), "gcloud: the Google Cloud CLI"),
        ("projects describe", PermanentError("ERROR: denied"), "project: ERROR: denied; `gcloud projects list`"),
        ("projects describe", "", "project: found none; `gcloud projects list`"),
    ],
)
def test_checks_stop_without_credentials_or_a_project(
    project: Project, part: str, output: str | Exception, expected: str
) -> None:
    project.overrides[part] = output

    [line] = problems(project)

    assert line.startswith(expected)
    assert len(project.commands) <= 2


def test_results_of_googles_clients_are_included(project: Project) -> None:
    clients: Callable[[], list[CheckResult]] = lambda: [CheckResult("table events", ok=False, text="no permission")]  # noqa: E731

    assert CheckResult("table events", ok=False, text="no permission") in list(
        examine(TARGET, project, clients=clients)
    )


WITH_BUCKET = structs.replace(
    TARGET, bucket="my-drops", functions=(*TARGET.functions, "load"), grants=(*GRANTS, *load_grants("my-drops"))
)


def test_a_bucket_is_checked(project: Project) -> None:
    results = {result.what: result for result in examine(WITH_BUCKET, project)}

    assert {each.text for each in results.values() if not each.ok} == set()
    assert {"function load", "notification of the bucket my-drops", "roles on bucket my-drops"} <= results.keys()
    assert {"alert loads-dead-letters", "roles on topic loads-dead-letter"} <= results.keys()


def test_a_missing_alert_for_dead_letters_of_loads_is_a_problem_only_with_a_bucket(project: Project) -> None:
    project.overrides["userLabels.alert=loads-dead-letters"] = ""

    problem = CheckResult("alert loads-dead-letters", ok=False, text="found none; `sluice deploy`")
    assert [result for result in examine(WITH_BUCKET, project) if not result.ok] == [problem]
    assert problems(project) == []


def test_a_missing_notification_is_a_problem(project: Project) -> None:
    project.overrides = {"notifications list": "", "get-iam-policy gs://my-drops": "{}"}

    found = [f"{result.what}: {result.text}" for result in examine(WITH_BUCKET, project) if not result.ok]

    assert "notification of the bucket my-drops: found none; `sluice deploy`" in found
    assert [
        text for text in found if text.startswith("roles on bucket my-drops: roles/storage.objectViewer is missing")
    ]
