"""What gcloud makes of our commands: the requests that it sends, to a Google Cloud on this machine.

Its parser knows the flags and their form. What Google is asked for, whether the values of several flags fit together,
and what is in our files of policies and metrics, is only seen in a run.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.deploy.bundle import make_bundles
from infra.deploy.config import load
from infra.deploy.gcloud import Command, perform
from infra.deploy.steps import Target, deploy_steps, metrics, policies
from infra.deploy.teardown import teardown_steps
from tests.gcloud.conftest import VARIABLES
from tests.gcloud.fake_cloud import APIS, FakeCloud, fake_cloud
from tests.support.samples import MUSIC_CONTRACT

PARENT = "projects/my-project/locations/us-central1"
TARGET = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))
Gcloud = Callable[[Command], str]


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeCloud]:
    with fake_cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def run(sdk: Path, alone: dict[str, str], cloud: FakeCloud, tmp_path_factory: pytest.TempPathFactory) -> Gcloud:
    """Run a command with gcloud itself against `cloud`; what it would send elsewhere goes to a closed port."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("nobody's")
    environment = {
        **{name: value for name, value in alone.items() if "PROXY" not in name},
        "https_proxy": "http://127.0.0.1:9",  # Google's addresses are https; that of `cloud` isn't
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{cloud.url}/" for api in APIS},
    }

    def gcloud(command: Command) -> str:
        program = [str(sdk / "bin" / "gcloud"), *command[1:]]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return gcloud


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[Command]:
    build = tmp_path_factory.mktemp("build")
    make_bundles(build, contract=MUSIC_CONTRACT)
    target = Target("my-project", "my-instance", "us-central1", "music.toml", build)
    return [step.command for step in deploy_steps(target, load())]


def test_functions_are_asked_for_as_they_are_meant(run: Gcloud, cloud: FakeCloud, commands: list[Command]) -> None:
    [ingest, aggregate] = [command for command in commands if command[1:3] == ("functions", "deploy")]

    run(ingest)
    run(aggregate)

    made = cloud.functions[f"{PARENT}/functions/ingest"]
    assert made["eventTrigger"] == {
        "eventType": "google.cloud.pubsub.topic.v1.messagePublished",
        "pubsubTopic": "projects/my-project/topics/events",
        "retryPolicy": "RETRY_POLICY_RETRY",
        "serviceAccountEmail": "sluice-trigger@my-project.iam.gserviceaccount.com",
        "triggerRegion": "us-central1",
    }
    service = made["serviceConfig"]
    assert service["ingressSettings"] == "ALLOW_INTERNAL_ONLY"
    assert service["serviceAccountEmail"] == "sluice-ingest@my-project.iam.gserviceaccount.com"
    assert (service["availableCpu"], service["availableMemory"]) == ("1", "512Mi")
    assert (service["maxInstanceCount"], service["maxInstanceRequestConcurrency"]) == (10, 64)
    assert service["timeoutSeconds"] == 120
    assert service["environmentVariables"]["SLUICE_CONTRACT"] == "shared/contracts/music.toml"
    assert made["buildConfig"]["runtime"] == "python313"
    assert made["buildConfig"]["entryPoint"] == "ingest"
    assert made["buildConfig"]["serviceAccount"].endswith("/sluice-build@my-project.iam.gserviceaccount.com")
    other = cloud.functions[f"{PARENT}/functions/aggregate"]
    assert other["serviceConfig"]["maxInstanceRequestConcurrency"] == 1
    assert other["serviceConfig"]["timeoutSeconds"] == 540
    assert other["eventTrigger"]["pubsubTopic"] == "projects/my-project/topics/aggregate-requests"
    assert not [each for each in cloud.requests if "allUsers" in json.dumps(each.body, default=str)]


def test_what_a_file_of_ones_own_says_is_asked_for(run: Gcloud, cloud: FakeCloud, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        "[ingest]\nretry = false\ntrigger_topic = 'orders'\ningress_settings = 'all'\ncpu = '4'\nmemory = '2Gi'\n"
        "service_account = 'runner@other.iam.gserviceaccount.com'\n"
    )
    build = tmp_path / "build"
    make_bundles(build, contract=MUSIC_CONTRACT)
    target = Target("my-project", "my-instance", "europe-west1", "music.toml", build)
    steps = deploy_steps(target, load(mine))

    run(next(step.command for step in steps if step.command[1:3] == ("functions", "deploy")))

    made = cloud.functions["projects/my-project/locations/europe-west1/functions/ingest"]
    assert made["eventTrigger"]["retryPolicy"] == "RETRY_POLICY_DO_NOT_RETRY"
    assert made["eventTrigger"]["pubsubTopic"] == "projects/my-project/topics/orders"
    service = made["serviceConfig"]
    assert service["ingressSettings"] == "ALLOW_ALL"
    assert service["serviceAccountEmail"] == "runner@other.iam.gserviceaccount.com"
    assert (service["availableCpu"], service["availableMemory"]) == ("4", "2Gi")


def test_destroying_what_was_never_deployed_asks_for_nothing_of_an_api_that_isnt_enabled(
    run: Gcloud, cloud: FakeCloud
) -> None:
    cloud.enabled = [f"{api}.googleapis.com" for api in ("bigtable", "bigtableadmin", "pubsub", "cloudscheduler")]
    cloud.requests.clear()
    told: list[str] = []

    perform(teardown_steps(TARGET), told.append, lambda command, wanted: run(tuple(command)))

    assert [line.split()[1] for line in told] == [
        f"{api}.googleapis.com" for api in ("cloudfunctions", "monitoring", "logging", "iam")
    ]
    assert {each.path.split("?")[0] for each in cloud.requests} == {"/v1/projects/my-project/services"}


def test_the_role_of_an_account_on_a_table_that_stays_is_taken_back(run: Gcloud, cloud: FakeCloud) -> None:
    reader, somebody = "serviceAccount:sluice-aggregate@my-project.iam.gserviceaccount.com", "user:me@example.com"
    steps = [step for step in teardown_steps(TARGET) if "sluice-aggregate on table events" in step.title]
    [asking, taking] = [step.command for step in steps if any("iam-policy" in word for word in step.command)]
    binding = {"role": "roles/bigtable.reader", "members": [somebody]}

    cloud.policy = {"bindings": [binding]}
    assert run(asking) == ""
    cloud.policy = {"bindings": [{**binding, "members": [reader, somebody]}]}
    assert run(asking).strip() == "roles/bigtable.reader"
    cloud.requests.clear()
    run(taking)

    [path] = [each.path.split("?")[0] for each in cloud.requests if each.path.split("?")[0].endswith("setIamPolicy")]
    assert path == "/v2/projects/my-project/instances/my-instance/tables/events:setIamPolicy"
    assert cloud.posted(":setIamPolicy")["policy"]["bindings"] == [binding]


def test_the_subscription_of_ingest_is_put_right(run: Gcloud, cloud: FakeCloud, commands: list[Command]) -> None:
    subscription = VARIABLES["INGEST_SUBSCRIPTION"]
    [update] = [each for each in commands if "${INGEST_SUBSCRIPTION}" in each and "update" in each]
    cloud.requests.clear()

    run(tuple(word.replace("${INGEST_SUBSCRIPTION}", subscription) for word in update))

    [asked] = [each for each in cloud.requests if each.method == "PATCH"]
    assert asked.path.startswith(f"/v1/{subscription}")
    assert asked.body["subscription"] == {
        "name": subscription,
        "ackDeadlineSeconds": 600,
        "messageRetentionDuration": "604800s",
        "expirationPolicy": {},
        "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
        "deadLetterPolicy": {
            "deadLetterTopic": "projects/my-project/topics/events-dead-letter",
            "maxDeliveryAttempts": 100,
        },
    }
    # Fields that aren't named stay as Eventarc made them: where the messages go, and as whom.
    assert sorted(asked.body["updateMask"].split(",")) == [
        "ackDeadlineSeconds",
        "deadLetterPolicy",
        "expirationPolicy",
        "messageRetentionDuration",
        "retryPolicy",
    ]


@pytest.mark.parametrize("name", sorted(metrics()))
def test_metrics_are_what_the_files_say(run: Gcloud, cloud: FakeCloud, commands: list[Command], name: str) -> None:
    [create] = [each for each in commands if each[1:5] == ("logging", "metrics", "create", name)]
    cloud.requests.clear()

    run(create)

    assert cloud.posted("/metrics") == json.loads(metrics()[name].read_text())


@pytest.mark.parametrize("key", sorted(policies()))
def test_policies_are_what_the_files_say(run: Gcloud, cloud: FakeCloud, commands: list[Command], key: str) -> None:
    """gcloud refuses a field that it doesn't know of a policy."""
    path = policies()[key]
    [create] = [each for each in commands if "policies" in each and f"--policy-from-file={path}" in each]
    cloud.requests.clear()

    run(create)

    assert cloud.posted("/alertPolicies") == json.loads(path.read_text())
