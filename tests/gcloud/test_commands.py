"""gcloud's own parser accepts every command of the project, and rejects invalid ones."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, Subscription
from msgspec import structs

from infra.cli.provision import provision
from infra.deploy.alerts import write_files
from infra.deploy.config import DEFAULTS, load
from infra.deploy.config_tables import Alerts, Dataflow
from infra.deploy.gcloud import Action, Command, Lookup, Step, gcloud
from infra.deploy.iam import ACCOUNTS, configured_grants
from infra.deploy.steps import Target, deploy_steps
from infra.deploy.steps import target as named_target
from infra.deploy.teardown import teardown_steps
from infra.doctor.cloud import examine
from infra.doctor.subscription_checks import DeadLetterTopic, check_subscription
from infra.erase.unreached import copies
from shared.config import Settings
from shared.timestamps import now
from tests.gcloud.conftest import ParseErrors
from tests.support.samples import ROOT
from tests.unit.infra.doctor.test_cloud import Project

TARGET = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))


def deploy(*extra: str, without: str = "") -> Command:
    """Return the command that deploys ingest, with extra words and without a flag."""
    steps = deploy_steps(TARGET, load())
    command = next(step.command for step in steps if "deploy" in step.command)
    return (*(word for word in command if not (without and word.startswith(without))), *extra)


PLATFORM = {
    "vpc_connector": "my-connector",
    "egress_settings": "private-ranges-only",
    "kms_key": "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k",
    "docker_repository": "projects/p/locations/l/repositories/mine",
    "labels": {"team": "music", "stage": ""},
    "secrets": {"A": "first:latest", "B": "projects/other/secrets/second:7"},
}

INVALID = [
    (deploy("--egress-settings=some"), "argument --egress-settings: Invalid choice: 'some'"),
    (deploy("--kms-key=mine"), "argument --kms-key: Bad value [mine]"),
    (deploy("--docker-repository=mine"), "argument --docker-repository: Bad value [mine]"),
    (deploy("--update-labels=Team=a"), "argument --update-labels: Bad value [Team]"),
    (deploy("--set-secrets=A=first"), "argument --set-secrets: Secrets value configuration must match"),
    (deploy("--set-secrets=A=first:0"), "argument --set-secrets: Secrets value configuration must match"),
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


def all_steps(build: Path) -> list[Step]:
    """Return the steps of several deployments and teardowns; gcloud reads the files of the alerts in `build`."""
    write_files(build, "sluice")
    write_files(build, "shop")
    target = structs.replace(TARGET, build=build)
    defaults = load()
    settings = Settings("my-project", "my-instance", name="shop")
    named, adopted = (
        structs.replace(named_target(settings, load(None, "shop"), adopt=each), build=build) for each in (False, True)
    )
    channels = Alerts(["projects/my-project/notificationChannels/1", "projects/my-project/notificationChannels/2"])
    with_channels = structs.replace(defaults, alerts=channels)
    external = configured_grants(
        {account.name: f"{account.name}@other.iam.gserviceaccount.com" for account in ACCOUNTS}
    )
    full_names = PLATFORM | {
        "vpc_connector": "projects/p/locations/us-central1/connectors/my-connector",
        "docker_repository": "us-central1-docker.pkg.dev/p/mine",
    }
    large_days = Dataflow(
        1, "gs://my-bucket/template.json", "gs://my-bucket/staging", "docker.pkg.dev/p/r/i:1", "my-workers", 20
    )
    with_dataflow = structs.replace(defaults, dataflow=large_days)
    dataflow_target = structs.replace(named_target(settings, with_dataflow), build=build)
    loads = structs.replace(defaults, load=structs.replace(defaults.load, bucket="my-drops"))
    loads_target = structs.replace(named_target(settings, loads), build=build)
    external_target = structs.replace(TARGET, accounts=(), grants=external)
    return [
        *deploy_steps(target, load()),
        *deploy_steps(target, with_channels),
        *deploy_steps(target, structs.replace(defaults, all=structs.replace(defaults.all, **PLATFORM))),
        *deploy_steps(target, structs.replace(defaults, ingest=structs.replace(defaults.ingest, **full_names))),
        *deploy_steps(named, load(None, "shop")),
        *deploy_steps(adopted, load(None, "shop")),
        *deploy_steps(dataflow_target, with_dataflow),
        *teardown_steps(dataflow_target),
        *deploy_steps(loads_target, loads),
        *teardown_steps(loads_target),
        *teardown_steps(TARGET),
        *teardown_steps(named),
        *teardown_steps(external_target),
    ]


def commands_of_the_doctor() -> list[Command]:
    """Return the doctor's own commands and those it suggests, for a complete and for an empty project."""
    run: list[Command] = []
    suggested: list[Command] = []
    for complete in (True, False):
        project = Project()
        if not complete:
            project.overrides = {"auth list": "me", **dict.fromkeys(("list", "get-iam-policy"), "{}")}
        results = list(examine(TARGET, project))
        run += project.commands
        remedies = [text for result in results for text in re.findall(r"`(gcloud .*)`", result.text)]
        suggested += [tuple(shlex.split(text)) for text in remedies if "&&" not in text]
    assert len(suggested) > 20
    return [*run, *suggested]


def commands_for_subscriptions() -> list[Command]:
    """Return the commands that the doctor suggests for weak subscriptions, and those for copies of erased events."""
    push = PushConfig(push_endpoint="https://ingest-abc.run.app/?a=b%2Fc")
    weak: dict[str, Any] = {
        "name": "projects/my-project/subscriptions/eventarc-1",
        "topic": "projects/my-project/topics/orders",
        "ack_deadline_seconds": 10,
        "message_retention_duration": timedelta(hours=1),
        "retain_acked_messages": True,
        "enable_exactly_once_delivery": True,
        "filter": 'attributes:"kind"',
        "push_config": push,
    }
    policy = DeadLetterPolicy(dead_letter_topic="projects/other/topics/dead", max_delivery_attempts=5)
    plain = PushConfig(push_endpoint="http://x.org/")
    subscriptions = [
        Subscription(**weak),
        Subscription(**weak | {"detached": True, "dead_letter_policy": policy}),
        Subscription(**weak | {"topic": "_deleted-topic_", "push_config": plain}),
    ]
    kept = DeadLetterTopic(exists=True, subscriptions=(Subscription(**weak),))
    topics = [DeadLetterTopic(exists=False), DeadLetterTopic(exists=True), kept]
    results = [
        result
        for subscription in subscriptions
        for topic in topics
        for result in check_subscription(subscription, topic, handler_seconds=60, emulated=False)
    ]
    suggested = {tuple(shlex.split(command)) for result in results for command in result.commands}
    unreached = copies(Settings("my-project", "my-instance"), now(), ["my-drops"])
    elsewhere = [command for each in unreached for command in each.commands]
    assert len(suggested) > 15
    return [*suggested, *(command for command in elsewhere if command[0] == "gcloud")]


def commands_of_the_docs() -> list[Command]:
    """Return the commands of docs/deploy.md, docs/beam.md, docs/export.md and docs/privacy.md."""
    pages = ("deploy.md", "beam.md", "export.md", "privacy.md")
    text = "".join((ROOT / "docs" / page).read_text("utf-8") for page in pages)
    values = {"$GCP_PROJECT_ID": "my-project", "$BIGTABLE_INSTANCE": "my-instance", "$GCP_REGION": "us-central1"}
    lines = re.findall(r"^ *\$ (gcloud .*)$", text, re.MULTILINE)
    lines += [" ".join(line.split()) for line in re.findall(r"`(gcloud (?!pubsub \.\.\.)[^`]+ --[^`]+)`", text)]
    for name, value in values.items():
        lines = [line.replace(name, value) for line in lines]
    assert len(lines) > 7
    return [tuple(shlex.split(line)) for line in lines]


def test_sluice_accepts_its_own_steps(tmp_path: Path) -> None:
    steps = {step.command for step in all_steps(tmp_path) if step.command[0] != "gcloud"}

    assert len(steps) == 2  # of the default pipeline and of the named one
    for step in steps:
        assert step[:2] == ("sluice", "provision")
        provision.make_context("provision", [*step[2:], f"--config={DEFAULTS}"])


@pytest.mark.slow
def test_gcloud_accepts_every_command(parse_errors: ParseErrors, tmp_path: Path) -> None:
    steps = [step.command for step in all_steps(tmp_path) if step.command[0] == "gcloud"]
    commands = [*steps, *commands_of_the_doctor(), *commands_for_subscriptions(), *commands_of_the_docs()]

    errors = zip(commands, parse_errors(commands), strict=True)
    rejected = {shlex.join(command): error for command, error in errors if error}

    assert len(commands) > 120
    assert rejected == {}


@pytest.fixture(scope="module")
def errors(parse_errors: ParseErrors) -> list[str]:
    """The errors of all invalid commands at once, since gcloud takes a second to start."""
    return parse_errors(command for command, _ in INVALID)


@pytest.mark.parametrize("number", range(len(INVALID)), ids=[expected[:40] for _, expected in INVALID])
def test_gcloud_rejects_invalid_commands(errors: list[str], number: int) -> None:
    """Shows that the parser of the test above works."""
    assert INVALID[number][1] in errors[number]


def test_steps_use_only_variables_of_earlier_lookups() -> None:
    for steps in (deploy_steps(TARGET, load()), teardown_steps(TARGET)):
        defined: set[str] = set()
        for step in steps:
            used = {word.split("}")[0] for part in step.command for word in part.split("${")[1:]}
            used |= {name for name in (step.if_set, step.if_empty if isinstance(step, Action) else "") if name}
            assert used <= defined
            if isinstance(step, Lookup):
                defined.add(step.variable)
