"""With a bucket, a deployment has the function `load`, its roles, and the notification of new objects."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from infra.deploy import alerts, declared
from infra.deploy.config import Deployment, load
from infra.deploy.gcloud import perform
from infra.deploy.iam import STORAGE_AGENT
from infra.deploy.steps import Target, deploy_steps, target
from infra.deploy.teardown import teardown_steps
from infra.provision.resources import LOAD, LOCAL_WITH_LOADS, PUSHED, RESOURCES
from shared.config import Settings
from tests.support.commands import exists
from tests.support.samples import MUSIC_CONTRACT

SETTINGS = Settings("my-project", "my-instance", MUSIC_CONTRACT, "shop")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    file = tmp_path / "mine.toml"
    file.write_text("[load]\nbucket = 'my-drops'\n")
    return load(file, "shop")


@pytest.fixture
def where(deployment: Deployment) -> Target:
    return target(SETTINGS, deployment)


def lines(where: Target, deployment: Deployment) -> list[str]:
    return [" ".join(step.command) for step in deploy_steps(where, deployment)]


def position(lines: Sequence[str], text: str) -> int:
    [number] = [number for number, line in enumerate(lines) if text in line]
    return number


def test_without_a_bucket_nothing_of_it_is_deployed() -> None:
    deployment = load(None, "shop")

    commands = lines(target(SETTINGS, deployment), deployment)

    assert not [line for line in commands if "load" in line or "storage" in line.replace("storage.objectViewer", "")]


def test_the_function_is_deployed_for_pushes_with_a_time_limit(where: Target, deployment: Deployment) -> None:
    [line] = [line for line in lines(where, deployment) if "functions deploy shop-load " in line]

    assert {
        "--entry-point=load",
        "--source=build/load",
        "--trigger-http",
        "--concurrency=1",
        "--memory=512Mi",
        "--no-allow-unauthenticated",
        "--ingress-settings=internal-only",
        "--service-account=shop-load@my-project.iam.gserviceaccount.com",
    } <= set(line.split())
    assert "SLUICE_LOAD_DEADLINE=432" in line


def test_objects_are_announced_once_the_agent_may_publish(where: Target, deployment: Deployment) -> None:
    commands = lines(where, deployment)

    create = position(commands, "notifications create gs://my-drops")
    assert "--topic=projects/my-project/topics/shop-loads --event-types=OBJECT_FINALIZE" in commands[create]
    assert "--custom-attributes=sluice=shop" in commands[create]
    agent = position(commands, "storage service-agent")
    grant = position(commands, f"topics add-iam-policy-binding shop-loads --member=serviceAccount:{STORAGE_AGENT}")
    assert position(commands, "services enable") < agent < grant < create
    assert position(commands, "functions deploy shop-load ") < create


def test_the_function_may_read_the_bucket_and_request_ranges(where: Target, deployment: Deployment) -> None:
    commands = lines(where, deployment)
    member = "--member=serviceAccount:shop-load@my-project.iam.gserviceaccount.com"

    assert (
        f"gcloud storage buckets add-iam-policy-binding gs://my-drops {member} --role=roles/storage.objectViewer "
        "--project=my-project" in commands
    )
    position(commands, f"pubsub topics add-iam-policy-binding shop-loads {member} --role=roles/pubsub.publisher")
    for table in ("events", "rejected", "state"):
        position(commands, f"tables add-iam-policy-binding shop-{table} {member} --role=roles/bigtable.user")
    position(commands, "run services add-iam-policy-binding shop-load --member=serviceAccount:shop-push@")
    position(commands, "pubsub topics add-iam-policy-binding shop-loads-dead-letter")
    position(commands, "pubsub subscriptions add-iam-policy-binding shop-loads-run")


def test_the_subscription_pushes_to_the_deployed_function(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function_urls(_settings: Settings, functions: tuple[str, ...]) -> dict[str, str]:
        assert functions == (*PUSHED, LOAD)
        return {LOAD: "https://load-x-uc.a.run.app"}

    monkeypatch.setattr(declared, "function_urls", function_urls)

    resources = declared.cloud_resources(SETTINGS, deployment)

    [run] = [each for each in resources.subscriptions if each.function == LOAD]
    assert (run.topic, run.dead_letter, run.attempts) == ("loads", "loads-dead-letter", 100)
    assert (run.push_endpoint, run.push_account) == (
        "https://load-x-uc.a.run.app",
        "shop-push@my-project.iam.gserviceaccount.com",
    )
    assert {"loads", "loads-dead-letter"} <= set(resources.topics)
    assert not {"loads", "loads-dead-letter"} & set(RESOURCES.topics)


def test_dead_letters_of_loads_fire_an_alert_of_their_own(
    where: Target, deployment: Deployment, tmp_path: Path
) -> None:
    commands = lines(structs.replace(where, build=tmp_path), deployment)
    alerts.write_files(tmp_path, "shop")

    create = position(commands, f"policies create --policy-from-file={tmp_path}/alerts/loads-dead-letters.json")
    assert "userLabels.sluice=shop AND userLabels.alert=loads-dead-letters" in commands[create - 1]
    policy = json.loads((tmp_path / "alerts" / "loads-dead-letters.json").read_text())
    assert "$" not in json.dumps(policy)
    [condition] = policy["conditions"]
    assert condition["conditionThreshold"]["filter"].endswith('subscription_id = "shop-loads-dead-letter-keep"')
    assert condition["conditionThreshold"]["thresholdValue"] == 0
    quoted = re.findall(r"`(sluice [^`]+)`", policy["documentation"]["content"])
    assert "sluice replay loads" in quoted
    assert all(exists(shlex.split(command)[1:]) for command in quoted)


def test_the_other_alerts_are_the_same_with_a_bucket() -> None:
    with_loads = alerts.policies("shop", loads=True)

    assert {key: with_loads[key] for key in alerts.policies("shop")} == alerts.policies("shop")
    assert with_loads.keys() - alerts.policies("shop").keys() == {"loads-dead-letters"}


def test_the_teardown_removes_the_alert_also_without_the_file_of_the_bucket(where: Target) -> None:
    for each in (where, target(SETTINGS, load(None, "shop"))):
        commands = [" ".join(step.command) for step in teardown_steps(each)]
        found = position(commands, "userLabels.alert=loads-dead-letters")
        assert "policies delete ${POLICY}" in commands[found + 1]


def test_dead_letters_of_loads_wait_like_those_of_events() -> None:
    kept = {each.name: each for each in RESOURCES.with_loads().subscriptions if not each.function}
    events, loads = kept["events-dead-letter-keep"], kept["loads-dead-letter-keep"]

    assert replace(loads, name=events.name, topic=events.topic) == events


def test_each_dead_letter_topic_has_a_subscription() -> None:
    for resources in (RESOURCES.with_loads(), LOCAL_WITH_LOADS):
        dead_letters = {each.dead_letter for each in resources.subscriptions if each.dead_letter}
        assert dead_letters <= {each.topic for each in resources.subscriptions if not each.function}


@pytest.mark.parametrize("missing", ["nothing", "buckets list", "notifications list", "config.name=storage"])
def test_the_teardown_removes_the_notification_before_the_function(where: Target, missing: str) -> None:
    changes: list[str] = []

    def call(command: Sequence[str], capture: bool) -> str:
        line = " ".join(command)
        if capture:
            return "" if missing in line or " AND NOT " in line else "7"
        changes.append(line)
        return ""

    perform(teardown_steps(where), lambda line: None, call)

    deleted = [n for n, line in enumerate(changes) if "notifications delete" in line]
    assert len(deleted) == (missing == "nothing")
    if deleted:
        assert "projects/_/buckets/my-drops/notificationConfigs/7" in changes[deleted[0]]
        assert deleted[0] < position(changes, "functions delete shop-load ")
    revoked = [line for line in changes if "storage buckets remove-iam-policy-binding gs://my-drops" in line]
    assert len(revoked) == (missing != "buckets list")
    position(changes, "iam service-accounts delete shop-load@")
