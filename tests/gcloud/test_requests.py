"""The API requests that gcloud sends for our commands, to a fake Google Cloud on this machine.

The parser only checks flags and their form. A run also checks the requested values, the combinations of flags, and the
files of policies and metrics.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from infra.deploy.alerts import metrics, policies, write_files
from infra.deploy.bundle import make_bundles
from infra.deploy.config import load
from infra.deploy.gcloud import Command, Lookup, gcloud, perform
from infra.deploy.iam import configured_accounts
from infra.deploy.steps import Target, deploy_steps, ownership_steps, target
from infra.deploy.teardown import teardown_steps
from infra.doctor import ownership
from infra.doctor.ownership import check_region
from shared.config import Settings
from shared.errors import SettingsError
from tests.gcloud.fake_cloud import APIS, FakeCloud, fake_cloud
from tests.support.samples import MUSIC_CONTRACT

PARENT = "projects/my-project/locations/us-central1"
TARGET = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))
Gcloud = Callable[[Command], str]


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeCloud]:
    with fake_cloud(FakeCloud) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def run(sdk: Path, isolated: dict[str, str], cloud: FakeCloud, tmp_path_factory: pytest.TempPathFactory) -> Gcloud:
    """Run a command with gcloud against `cloud`; requests to other hosts go to a closed port."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("fake")
    environment = {
        **{name: value for name, value in isolated.items() if "PROXY" not in name},
        "https_proxy": "http://127.0.0.1:9",  # Google's addresses use https; `cloud` doesn't
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
    write_files(build, "sluice")
    target = Target("my-project", "my-instance", "us-central1", "music.toml", build)
    return [step.command for step in deploy_steps(target, load())]


@pytest.mark.slow
def test_deploy_requests_functions_with_the_configured_properties(
    run: Gcloud, cloud: FakeCloud, commands: list[Command]
) -> None:
    [ingest, aggregate, query] = [command for command in commands if command[1:3] == ("functions", "deploy")]

    run(ingest)
    run(aggregate)
    run(query)

    created = cloud.functions[f"{PARENT}/functions/ingest"]
    assert "eventTrigger" not in created  # an HTTP function
    service = created["serviceConfig"]
    assert created["labels"]["sluice"] == "sluice"
    assert service["ingressSettings"] == "ALLOW_INTERNAL_ONLY"
    assert service["serviceAccountEmail"] == "sluice-ingest@my-project.iam.gserviceaccount.com"
    assert (service["availableCpu"], service["availableMemory"]) == ("1", "512Mi")
    assert (service["maxInstanceCount"], service["maxInstanceRequestConcurrency"]) == (10, 64)
    assert service["timeoutSeconds"] == 120
    assert service["environmentVariables"]["SLUICE_CONTRACT"] == "shared/contracts/music.toml"
    assert created["buildConfig"]["runtime"] == "python313"
    assert created["buildConfig"]["entryPoint"] == "ingest"
    assert created["buildConfig"]["serviceAccount"].endswith("/sluice-build@my-project.iam.gserviceaccount.com")
    other = cloud.functions[f"{PARENT}/functions/aggregate"]
    assert other["serviceConfig"]["maxInstanceRequestConcurrency"] == 1
    assert other["serviceConfig"]["timeoutSeconds"] == 540
    assert "eventTrigger" not in other
    api = cloud.functions[f"{PARENT}/functions/query"]
    assert api["serviceConfig"]["ingressSettings"] == "ALLOW_ALL"
    assert api["serviceConfig"]["serviceAccountEmail"] == "sluice-query@my-project.iam.gserviceaccount.com"
    assert not [each for each in cloud.requests if "allUsers" in json.dumps(each.body, default=str)]


def test_deploy_requests_the_values_of_a_custom_file(run: Gcloud, cloud: FakeCloud, tmp_path: Path) -> None:
    file = tmp_path / "custom.toml"
    file.write_text(
        "[ingest]\ningress_settings = 'all'\ncpu = '4'\nmemory = '2Gi'\n"
        "service_account = 'runner@other.iam.gserviceaccount.com'\n"
        "vpc_connector = 'my-connector'\negress_settings = 'all'\n"
        "kms_key = 'projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k'\n"
        "docker_repository = 'projects/p/locations/europe-west1/repositories/mine'\n"
        "labels = { team = 'music' }\nsecrets = { TOKEN = 'projects/other/secrets/token:7' }\n"
    )
    build = tmp_path / "build"
    make_bundles(build, contract=MUSIC_CONTRACT)
    target = Target("my-project", "my-instance", "europe-west1", "music.toml", build)
    steps = deploy_steps(target, load(file))

    run(next(step.command for step in steps if step.command[1:3] == ("functions", "deploy")))

    created = cloud.functions["projects/my-project/locations/europe-west1/functions/ingest"]
    service = created["serviceConfig"]
    assert service["ingressSettings"] == "ALLOW_ALL"
    assert service["serviceAccountEmail"] == "runner@other.iam.gserviceaccount.com"
    assert (service["availableCpu"], service["availableMemory"]) == ("4", "2Gi")
    assert service["vpcConnector"].split("/")[-1] == "my-connector"
    assert service["vpcConnectorEgressSettings"] == "ALL_TRAFFIC"
    assert service["secretEnvironmentVariables"] == [
        {"key": "TOKEN", "projectId": "other", "secret": "token", "version": "7"}
    ]
    assert created["kmsKeyName"] == "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
    assert created["buildConfig"]["dockerRepository"] == "projects/p/locations/europe-west1/repositories/mine"
    assert created["labels"]["team"] == "music"


def test_teardown_without_a_deployment_calls_no_disabled_api(run: Gcloud, cloud: FakeCloud) -> None:
    cloud.enabled = [f"{api}.googleapis.com" for api in ("bigtable", "bigtableadmin", "pubsub", "cloudscheduler")]
    cloud.requests.clear()
    titles: list[str] = []

    perform(teardown_steps(TARGET), titles.append, lambda command, capture: run(tuple(command)))

    assert [line.split()[1] for line in titles] == [
        f"{api}.googleapis.com" for api in ("cloudfunctions", "monitoring", "logging", "iam")
    ]
    assert {each.path.split("?")[0] for each in cloud.requests} == {"/v1/projects/my-project/services"}


def test_the_role_of_an_account_on_a_remaining_table_is_revoked(run: Gcloud, cloud: FakeCloud) -> None:
    reader, user = "serviceAccount:sluice-aggregate@my-project.iam.gserviceaccount.com", "user:me@example.com"
    steps = [step for step in teardown_steps(TARGET) if "sluice-aggregate on table events" in step.title]
    [query, revoke] = [step.command for step in steps if any("iam-policy" in word for word in step.command)]
    binding = {"role": "roles/bigtable.reader", "members": [user]}

    cloud.policy = {"bindings": [binding]}
    assert run(query) == ""
    cloud.policy = {"bindings": [{**binding, "members": [reader, user]}]}
    assert run(query).strip() == "roles/bigtable.reader"
    cloud.requests.clear()
    run(revoke)

    [path] = [each.path.split("?")[0] for each in cloud.requests if each.path.split("?")[0].endswith("setIamPolicy")]
    assert path == "/v2/projects/my-project/instances/my-instance/tables/events:setIamPolicy"
    assert cloud.posted(":setIamPolicy")["policy"]["bindings"] == [binding]


@pytest.mark.parametrize("name", sorted(metrics("sluice")))
def test_metrics_are_created_from_their_files(
    run: Gcloud, cloud: FakeCloud, commands: list[Command], name: str
) -> None:
    [create] = [each for each in commands if each[1:5] == ("logging", "metrics", "create", name)]
    cloud.requests.clear()

    run(create)

    assert cloud.posted("/metrics") == metrics("sluice")[name]


@pytest.mark.parametrize("key", sorted(policies("sluice", loads=True)))
@pytest.mark.slow
def test_policies_are_created_from_their_files(run: Gcloud, cloud: FakeCloud, tmp_path: Path, key: str) -> None:
    """gcloud rejects unknown fields of a policy."""
    write_files(tmp_path, "sluice")
    target = Target("my-project", "my-instance", "us-central1", "music.toml", tmp_path, bucket="my-drops")
    commands = [step.command for step in deploy_steps(target, load())]
    [create] = [each for each in commands if "policies" in each and any(f"/{key}.json" in word for word in each)]
    cloud.requests.clear()

    run(create)

    assert cloud.posted("/alertPolicies") == policies("sluice", loads=True)[key]


def shop_target(*, adopt: bool) -> Target:
    accounts = configured_accounts({"sluice-ingest": "shop-ingest", "sluice-aggregate": "shop-aggregate"}, "shop")
    return Target(
        "my-project", "my-instance", "us-central1", "music.toml", Path("build"), None, accounts, (), "shop", adopt
    )


@pytest.fixture
def unowned(run: Gcloud, cloud: FakeCloud, request: pytest.FixtureRequest) -> Iterator[list[set[str]]]:
    """The functions, metrics and accounts that are refused in a cloud with marked, unmarked and others' resources."""
    previous, cloud.functions = cloud.functions, {}
    address = "@my-project.iam.gserviceaccount.com"
    for function, labels in (
        ("shop-ingest", {"sluice": request.param}),
        ("shop-aggregate", {}),
        ("ingest", {"sluice": "sluice"}),
    ):
        full = f"{PARENT}/functions/{function}"
        cloud.functions[full] = {
            "name": full,
            "labels": {each: value for each, value in labels.items() if value},
            "environment": "GEN_2",
            "state": "ACTIVE",
        }
    mark = f" (sluice={request.param})" if request.param else ""
    cloud.metrics = [
        {"name": "shop_stored", "description": f"Stored{mark}"},
        {"name": "shop_rejected", "description": "Rejected (sluice=shop)"},
        {"name": "sluice_stored", "description": "Stored (sluice=sluice)"},
    ]
    cloud.accounts = [
        {"name": f"projects/-/serviceAccounts/{name}{address}", "email": f"{name}{address}", "displayName": text}
        for name, text in (
            ("shop-ingest", f"Sluice: runs ingest{mark}"),
            ("shop-aggregate", "Sluice: runs aggregate (sluice=shop)"),
            ("sluice-ingest", "Sluice: runs ingest (sluice=sluice)"),
        )
    ]
    adopt = request.node.callspec.params["adopt"]
    outputs = [run(step.command) for step in ownership_steps(shop_target(adopt=adopt))]
    yield [{line.rsplit("/", 1)[-1].split("@")[0] for line in output.split()} for output in outputs]
    cloud.functions, cloud.metrics, cloud.accounts = previous, [], []


@pytest.mark.parametrize(
    ("unowned", "adopt", "refused"),
    [
        ("shop", False, [{"shop-aggregate"}, set(), set()]),
        ("", False, [{"shop-ingest", "shop-aggregate"}, {"shop_stored"}, {"shop-ingest"}]),
        ("shop-2", False, [{"shop-ingest", "shop-aggregate"}, {"shop_stored"}, {"shop-ingest"}]),
        ("shop", True, [set(), set(), set()]),
        ("", True, [set(), set(), set()]),
        ("shop-2", True, [{"shop-ingest"}, {"shop_stored"}, {"shop-ingest"}]),
    ],
    indirect=["unowned"],
)
@pytest.mark.slow
def test_gcloud_lists_the_resources_under_the_names_of_a_pipeline_without_its_mark(
    unowned: list[set[str]], adopt: bool, refused: list[set[str]]
) -> None:
    assert unowned == refused


def test_the_region_of_functions_is_found_by_their_label(
    run: Gcloud, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def without_jobs(_: Settings) -> Iterator[Any]:
        yield SimpleNamespace(list_locations=lambda *_, **__: SimpleNamespace(locations=[], next_page_token=""))

    monkeypatch.setattr(ownership, "scheduler_client", without_jobs)
    monkeypatch.setattr(cloud, "enabled", ["cloudfunctions.googleapis.com"])
    names = {
        "shop": "projects/my-project/locations/europe-west1/functions/shop-ingest",
        "sluice": f"{PARENT}/functions/ingest",
    }
    functions = {
        name: {"name": name, "labels": {"sluice": owner}, "environment": "GEN_2"} for owner, name in names.items()
    }
    monkeypatch.setattr(cloud, "functions", functions)
    settings = Settings("my-project", "my-instance", name="shop", region="us-central1")

    with pytest.raises(SettingsError, match="found us-central1, expected europe-west1:"):
        check_region(settings, lambda command: run(tuple(command)))
    check_region(replace(settings, region="europe-west1"), lambda command: run(tuple(command)))


@pytest.mark.slow
def test_the_notification_of_a_bucket_is_found_by_its_attribute_and_created_once(
    run: Gcloud, cloud: FakeCloud, tmp_path: Path
) -> None:
    file = tmp_path / "load.toml"
    file.write_text("[load]\nbucket = 'my-drops'\n")
    deployment = load(file, "shop")
    steps = list(deploy_steps(target(Settings("my-project", "my-instance", name="shop"), deployment), deployment))
    wanted = [step for step in steps if step.command[1] == "storage"]
    topic = "projects/my-project/topics/shop-loads"
    link = "https://www.googleapis.com/storage/v1/b/my-drops/notificationConfigs"

    def perform_steps() -> list[Any]:
        cloud.requests.clear()
        perform(wanted, lambda line: None, lambda command, capture: run(tuple(command)))
        path = "/b/my-drops/notificationConfigs"
        return [
            each.body for each in cloud.requests if each.method == "POST" and each.path.split("?")[0].endswith(path)
        ]

    other = {"id": "3", "selfLink": f"{link}/3", "topic": topic, "custom_attributes": {"sluice": "other"}}
    cloud.notifications = [other]
    [created] = perform_steps()
    assert created["topic"] == topic
    assert created["event_types"] == ["OBJECT_FINALIZE"]
    assert created["custom_attributes"] == {"sluice": "shop"}
    assert created["payload_format"] == "JSON_API_V1"

    cloud.notifications = [
        other,
        {**other, "id": "7", "selfLink": f"{link}/7", "custom_attributes": {"sluice": "shop"}},
    ]
    assert perform_steps() == []

    cloud.requests.clear()
    cloud.enabled = ["storage.googleapis.com"]
    steps = list(teardown_steps(target(Settings("my-project", "my-instance", name="shop"), deployment)))
    number = next(n for n, step in enumerate(steps) if "notifications" in step.command)
    delete = steps[number : number + 2]
    perform(
        [Lookup("", "BUCKET", gcloud("storage", "service-agent", project="my-project")), *delete],
        lambda line: None,
        lambda command, capture: run(tuple(command)),
    )
    deleted = [each.path.split("?")[0] for each in cloud.requests if each.method == "DELETE"]
    assert [path.partition("/b/")[2] for path in deleted] == ["my-drops/notificationConfigs/7"]
