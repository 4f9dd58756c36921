"""Every command that is printed or run is one that gcloud itself takes, and a wrong one isn't."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from msgspec import structs

from infra.deploy.config import Alerts, load
from infra.deploy.gcloud import Action, Command, Lookup, Step, gcloud
from infra.deploy.iam import ACCOUNTS, configured_grants
from infra.deploy.steps import Target, deploy_steps
from infra.deploy.teardown import teardown_steps
from infra.doctor.cloud import examine
from tests.gcloud.conftest import Complaints
from tests.support.samples import ROOT
from tests.unit.infra.doctor.test_cloud import Project

TARGET = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))


def deploy(*wrong: str, without: str = "") -> Command:
    """The command that deploys ingest, with something wrong about it."""
    steps = deploy_steps(TARGET, load())
    command = next(step.command for step in steps if "deploy" in step.command)
    return (*(word for word in command if not (without and word.startswith(without))), *wrong)


WRONG = [
    (deploy("--unknown-flag"), "unrecognized arguments: --unknown-flag"),
    (deploy("--concurrency=many"), "argument --concurrency: Value must be an integer"),
    (deploy("--timeout=10parsecs"), "argument --timeout: Failed to parse duration"),
    (deploy("--set-env-vars=NO_VALUE"), "argument --set-env-vars: Bad syntax for dict arg"),
    (deploy("--ingress-settings=some"), "argument --ingress-settings: Invalid choice: 'some'"),
    (deploy(without="--memory"), "argument --cpu: --memory must be specified"),
    (("gcloud", "functions", "dploy", "ingest"), "Invalid choice: 'dploy'"),
    (gcloud("projects", "add-iam-policy-binding", "p", member="user:me"), "argument --role: Must be specified"),
    (gcloud("pubsub", "subscriptions", "update", "s", max_delivery_attempts=101), "less than or equal to 100"),
    (gcloud("functions", "list", filter="name~("), "ExpressionSyntaxError"),
    (gcloud("functions", "list", format="value(name"), "ExpressionSyntaxError"),
    (gcloud("alpha", "monitoring", "policies", "create", policy_from_file="nowhere.json"), "Unable to read file"),
]


def all_steps() -> list[Step]:
    told = load()
    channels = Alerts(["projects/my-project/notificationChannels/1", "projects/my-project/notificationChannels/2"])
    told = type(told)(told.all, told.ingest, told.aggregate, channels)
    others = configured_grants({account.name: f"{account.name}@other.iam.gserviceaccount.com" for account in ACCOUNTS})
    lent = structs.replace(TARGET, accounts=(), grants=others)
    return [
        *deploy_steps(TARGET, load()),
        *deploy_steps(TARGET, told),
        *teardown_steps(TARGET),
        *teardown_steps(lent),
    ]


def all_of_the_doctor() -> list[Command]:
    """What the doctor looks with, and what it says mends a project in which nothing is there but what must be."""
    asked: list[Command] = []
    told: list[Command] = []
    for whole in (True, False):
        project = Project()
        if not whole:
            project.spoilt = dict.fromkeys(("list", "get-iam-policy"), "{}")
            project.spoilt = {"auth list": "me", **project.spoilt}
        findings = list(examine(TARGET, project))
        asked += project.asked
        mended = [text for finding in findings for text in re.findall(r"`(gcloud .*)`", finding.text)]
        told += [tuple(shlex.split(text)) for text in mended if "&&" not in text]
    assert len(told) > 20
    return [*asked, *told]


def all_of_the_docs() -> list[Command]:
    """What docs/deploy.md has people type."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    named = {"$GCP_PROJECT_ID": "my-project", "$BIGTABLE_INSTANCE": "my-instance", "$GCP_REGION": "us-central1"}
    lines = re.findall(r"^ *\$ (gcloud .*)$", text, re.MULTILINE)
    lines += [" ".join(line.split()) for line in re.findall(r"`(gcloud (?!pubsub \.\.\.)[^`]+ --[^`]+)`", text)]
    for name, value in named.items():
        lines = [line.replace(name, value) for line in lines]
    assert len(lines) > 7
    return [tuple(shlex.split(line)) for line in lines]


def test_gcloud_takes_every_command(complaints: Complaints) -> None:
    commands = [*(step.command for step in all_steps()), *all_of_the_doctor(), *all_of_the_docs()]

    found = {shlex.join(command): said for command, said in zip(commands, complaints(commands), strict=True) if said}

    assert len(commands) > 120
    assert found == {}


@pytest.fixture(scope="module")
def refusals(complaints: Complaints) -> list[str]:
    """All at once, since gcloud takes a second to start."""
    return complaints(command for command, _ in WRONG)


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[expected[:40] for _, expected in WRONG])
def test_gcloud_refuses_what_is_wrong(refusals: list[str], number: int) -> None:
    """The test above is only worth something if this one holds."""
    assert WRONG[number][1] in refusals[number]


def test_no_step_uses_what_none_before_it_has_asked_for() -> None:
    for steps in (deploy_steps(TARGET, load()), teardown_steps(TARGET)):
        known: set[str] = set()
        for step in steps:
            used = {word.split("}")[0] for part in step.command for word in part.split("${")[1:]}
            used |= {name for name in (step.if_set, step.if_empty if isinstance(step, Action) else "") if name}
            assert used <= known
            if isinstance(step, Lookup):
                known.add(step.variable)
