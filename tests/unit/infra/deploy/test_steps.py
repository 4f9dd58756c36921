"""The deployment matches the declared topics, subscriptions, accounts, roles and alerts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from infra.deploy.alerts import metrics, policies, write_files
from infra.deploy.config import All, Deployment, PushedFunction, load
from infra.deploy.config_tables import Alerts
from infra.deploy.gcloud import Action, Command, Lookup
from infra.deploy.iam import ACCOUNTS, GRANTS, PUBSUB_AGENT
from infra.deploy.steps import Target, deploy_steps, role_steps, target
from infra.provision.resources import PUSHED, RESOURCES
from shared.aggregate.pipeline import MAX_MISSED_DAYS, Summary
from shared.config import Settings
from shared.errors import SettingsError
from shared.names import resource_name
from shared.runtime.logs import LogEvent
from tests.support.samples import MUSIC_CONTRACT, ROOT

TARGET = Target("my-project", "my-instance", "europe-west1", "music.toml", Path("build"))
SUBSCRIPTIONS = {each.function: each for each in RESOURCES.subscriptions if each.function}
ACCOUNT_NAMES = ("ingest", "aggregate", "query", "push", "build")
MEMBER = "--member=serviceAccount:sluice-aggregate@my-project.iam.gserviceaccount.com"
COMMANDS = [step.command for step in deploy_steps(TARGET, load())]


def command(*words: str) -> Command:
    [match] = [each for each in COMMANDS if each[1 : len(words) + 1] == words]
    return match


def test_ingest_is_deployed_for_pushes_only() -> None:
    flags = set(command("functions", "deploy", "ingest"))

    assert {
        "--gen2",
        "--region=europe-west1",
        "--runtime=python313",
        "--source=build/ingest",
        "--entry-point=ingest",
        "--trigger-http",
        "--no-allow-unauthenticated",
        "--ingress-settings=internal-only",
        "--service-account=sluice-ingest@my-project.iam.gserviceaccount.com",
        "--set-env-vars=GCP_PROJECT_ID=my-project,BIGTABLE_INSTANCE=my-instance,"
        "SLUICE_CONTRACT=shared/contracts/music.toml",
    } <= flags


DATAFLOW = """
[dataflow]
from_events = 50000000
template = "gs://my-bucket/sluice/template.json"
staging = "gs://my-bucket/sluice/staging"
image = "europe-west1-docker.pkg.dev/my-project/sluice/beam:1"
service_account = "my-workers"
"""


def test_aggregate_may_launch_dataflow_jobs_only_where_configured(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(DATAFLOW)
    settings = Settings("my-project", "my-instance", region="europe-west1")
    deployment = load(file)
    commands = [step.command for step in deploy_steps(target(settings, deployment), deployment)]

    [apis] = [command for command in commands if command[1:3] == ("services", "enable")]
    [function] = [command for command in commands if command[1:4] == ("functions", "deploy", "aggregate")]
    [variables] = [word for word in function if word.startswith("--set-env-vars")]
    roles = ("--role=roles/dataflow.developer", "--role=roles/iam.serviceAccountUser")
    granted = [command for command in commands if {*roles} & {*command}]

    assert "dataflow.googleapis.com" in apis
    assert "GCP_REGION=europe-west1,SLUICE_DATAFLOW_FROM_EVENTS=50000000" in variables
    assert "SLUICE_DATAFLOW_SERVICE_ACCOUNT=my-workers@my-project.iam.gserviceaccount.com" in variables
    assert [command[1:5] for command in granted] == [
        ("projects", "add-iam-policy-binding", "my-project", MEMBER),
        ("iam", "service-accounts", "add-iam-policy-binding", "my-workers@my-project.iam.gserviceaccount.com"),
    ]
    assert all(MEMBER in command for command in granted)
    assert not [command for command in COMMANDS if "dataflow" in " ".join(command).lower()]


def test_query_is_deployed_for_callers_with_a_role() -> None:
    flags = set(command("functions", "deploy", "query"))

    assert {
        "--no-allow-unauthenticated",
        "--ingress-settings=all",
        "--source=build/query",
        "--entry-point=query",
        "--service-account=sluice-query@my-project.iam.gserviceaccount.com",
    } <= flags


def test_query_may_only_read_each_table() -> None:
    grants = {(grant.role, grant.kind, grant.resource) for grant in GRANTS if grant.account == "sluice-query"}

    assert grants == {("roles/bigtable.reader", "table", table.name) for table in RESOURCES.tables}


def test_every_key_of_a_custom_file_is_in_the_command(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        """
        [all]
        runtime = "python312"
        push_service_account = "my-push"
        build_service_account = "build@other.iam.gserviceaccount.com"
        vpc_connector = "shared-connector"
        egress_settings = "private-ranges-only"
        kms_key = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/shared"
        docker_repository = "projects/p/locations/l/repositories/shared"
        labels = { team = "music", stage = "test" }
        secrets = { SHARED = "shared:latest", TOKEN = "shared-token:1" }
        [ingest]
        vpc_connector = "my-connector"
        egress_settings = "all"
        kms_key = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/mine"
        docker_repository = "europe-west1-docker.pkg.dev/p/mine"
        labels = { stage = "live" }
        secrets = { TOKEN = "projects/other/secrets/token:7" }
        cpu = "2"
        memory = "2Gi"
        concurrency = 80
        min_instances = 1
        max_instances = 20
        timeout = 90
        topic = "orders"
        ingress_settings = "all"
        service_account = "my-runner"
        environment = { A = "1" }
        """
    )
    custom = load(file)
    steps = [step.command for step in deploy_steps(TARGET, custom)]

    [flags] = [set(each) for each in steps if each[1:4] == ("functions", "deploy", "ingest")]
    [flags_of_aggregate] = [set(each) for each in steps if each[1:4] == ("functions", "deploy", "aggregate")]

    assert {
        "--runtime=python312",
        "--build-service-account=projects/my-project/serviceAccounts/build@other.iam.gserviceaccount.com",
        "--cpu=2",
        "--memory=2Gi",
        "--concurrency=80",
        "--min-instances=1",
        "--max-instances=20",
        "--timeout=90s",
        "--ingress-settings=all",
        "--service-account=my-runner@my-project.iam.gserviceaccount.com",
        "--no-allow-unauthenticated",
        "--vpc-connector=my-connector",
        "--egress-settings=all",
        "--kms-key=projects/p/locations/europe-west1/keyRings/r/cryptoKeys/mine",
        "--docker-repository=europe-west1-docker.pkg.dev/p/mine",
        "--update-labels=team=music,stage=live,sluice=sluice",
        "--set-secrets=SHARED=shared:latest,TOKEN=projects/other/secrets/token:7",
    } <= flags
    assert {
        "--vpc-connector=shared-connector",
        "--egress-settings=private-ranges-only",
        "--kms-key=projects/p/locations/europe-west1/keyRings/r/cryptoKeys/shared",
        "--docker-repository=projects/p/locations/l/repositories/shared",
        "--update-labels=team=music,stage=test,sluice=sluice",
        "--set-secrets=SHARED=shared:latest,TOKEN=shared-token:1",
    } <= flags_of_aggregate
    assert "A=1" in next(flag for flag in flags if flag.startswith("--set-env-vars="))
    defaults = load()  # every key has another value
    assert [key for key in All.__struct_fields__ if getattr(custom.all, key) == getattr(defaults.all, key)] == []
    assert [
        key for key in PushedFunction.__struct_fields__ if getattr(custom.ingest, key) == getattr(defaults.ingest, key)
    ] == []


def test_unset_keys_have_no_flags() -> None:
    words = {word.split("=")[0] for step in COMMANDS for word in step}

    unset = {"vpc-connector", "egress-settings", "kms-key", "docker-repository", "set-secrets"}
    assert words & {f"--{name}" for name in unset} == set()


def test_a_key_in_another_region_is_refused_before_the_first_step(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    key = "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"
    file.write_text(f'[all]\nkms_key = "{key}"\ndocker_repository = "us-east1-docker.pkg.dev/p/mine"\n')

    with pytest.raises(SettingsError, match=f"kms_key: found '{key}', expected a key in europe-west1"):
        list(deploy_steps(TARGET, load(file)))


def test_the_otlp_exporter_is_set_for_ingest_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[metrics]\notlp = true\n[ingest.environment]\nOTEL_EXPORTER_OTLP_ENDPOINT = "https://c:4318"\n')
    steps = [" ".join(step.command) for step in deploy_steps(TARGET, load(file))]

    [deployed] = [step for step in steps if "OTEL_METRICS_EXPORTER=otlp" in step]
    assert "functions deploy ingest" in deployed
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=https://c:4318" in deployed
    assert not [each for each in COMMANDS if "OTEL" in " ".join(each)]


def test_aggregate_has_one_request_at_a_time() -> None:
    flags = set(command("functions", "deploy", "aggregate"))

    assert {"--concurrency=1", "--timeout=540s", "--trigger-http"} <= flags


def test_the_day_deadline_is_shorter_than_the_request_timeout() -> None:
    """Cloud Run ends only the request; its work would continue in parallel with the next day."""
    [variables] = [flag for flag in command("functions", "deploy", "aggregate") if flag.startswith("--set-env-vars=")]

    assert variables.endswith(",SLUICE_DAY_DEADLINE=513")
    assert load().aggregate.timeout > 513


def test_aggregate_gets_its_declared_cpu(tmp_path: Path) -> None:
    """Cloud Run shows two cores to a process with one CPU."""
    file = tmp_path / "mine.toml"
    file.write_text('[aggregate]\ncpu = "2"\n')

    def variables(deployment: Deployment) -> list[str]:
        steps = [step.command for step in deploy_steps(TARGET, deployment)]
        [flags] = [each for each in steps if each[1:4] == ("functions", "deploy", "aggregate")]
        [flag] = [flag for flag in flags if flag.startswith("--set-env-vars=")]
        return flag.split(",")

    assert "SLUICE_CPU=1" in variables(load())
    assert "SLUICE_CPU=2" in variables(load(file))


def test_the_functions_get_their_pushes_last(tmp_path: Path) -> None:
    assert COMMANDS[-1] == (
        "sluice",
        "provision",
        "--name=sluice",
        "--project-id=my-project",
        "--instance-id=my-instance",
        "--region=europe-west1",
    )
    file = tmp_path / "mine.toml"
    *_, last = deploy_steps(msgspec.structs.replace(TARGET, config=file), load())
    assert last.command == (*COMMANDS[-1], f"--config={file}")


def test_no_function_has_a_trigger_of_eventarc() -> None:
    """Its subscription would be undeclared: 10 s for an acknowledgement, one day of retention, no dead letters."""
    assert not [word for each in COMMANDS for word in each if "eventarc" in word or "--trigger-topic" in word]


def test_roles_on_resources_of_a_function_are_granted_after_its_deployment() -> None:
    order = [" ".join(each) for each in COMMANDS]
    first = {
        text: next(n for n, line in enumerate(order) if text in line) for text in ("functions deploy ingest", "run.inv")
    }

    assert first["functions deploy ingest"] < first["run.inv"]
    assert sum("add-iam-policy-binding" in line for line in order) == len(GRANTS)
    titles = [step.title for step in role_steps(TARGET, "")]
    assert "roles: roles/pubsub.publisher for Pub/Sub's service agent, to publish dead letters" in titles


def test_every_role_is_granted_to_a_known_account_on_a_known_resource() -> None:
    ours = {account.name for account in ACCOUNTS}
    tables = {table.name for table in RESOURCES.tables}

    assert {grant.account for grant in GRANTS if "@" not in grant.account} == ours
    assert {grant.resource for grant in GRANTS if grant.kind == "table"} == tables
    assert {grant.resource for grant in GRANTS if grant.kind == "topic"} <= set(RESOURCES.topics)
    assert {grant.role for grant in GRANTS if grant.kind == "table"} == {"roles/bigtable.user", "roles/bigtable.reader"}
    # No role with broad permissions.
    assert not [grant for grant in GRANTS if re.search(r"owner|editor|admin$", grant.role)]


def test_only_aggregate_may_publish_and_only_to_its_own_topic() -> None:
    publishing = [grant for grant in GRANTS if "pubsub" in grant.role and "@" not in grant.account]

    assert [(grant.account, grant.role, grant.kind, grant.resource) for grant in publishing] == [
        ("sluice-aggregate", "roles/pubsub.publisher", "topic", SUBSCRIPTIONS["aggregate"].topic)
    ]


def test_declared_topics_are_those_of_the_default_file() -> None:
    """`sluice provision` creates the topics of the default file."""
    functions = load().pushed

    assert {name: each.topic for name, each in SUBSCRIPTIONS.items()} == {
        name: function.topic for name, function in functions.items()
    }


def test_the_docs_list_every_role() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    lines = ["| account | role | on | in order to |", "| --- | --- | --- | --- |"]
    for grant in GRANTS:
        on = f"{grant.kind} `{grant.resource}`" if grant.resource else "the project"
        account = "Pub/Sub's service agent" if grant.account == PUBSUB_AGENT else f"`{grant.account}`"
        lines.append(f"| {account} | `{grant.role}` | {on} | {grant.purpose} |")

    assert "\n".join(lines) in text


def test_an_existing_policy_keeps_manual_changes() -> None:
    """An update from the file would revert them, and remove channels that were added in the console."""
    custom = msgspec.structs.replace(load(), alerts=Alerts(["projects/p/notificationChannels/7"]))
    steps = list(deploy_steps(TARGET, custom))

    updates = [step for step in steps if "update" in step.command and "policies" in step.command]
    assert len(updates) == len(policies("sluice"))
    assert all(isinstance(step, Action) and step.if_set == "POLICY" for step in updates)
    assert {step.command[-2:] for step in updates} == {
        ("--set-notification-channels=projects/p/notificationChannels/7", "--project=my-project")
    }
    assert not [each for each in COMMANDS if "policies" in each and "update" in each]


def test_every_alert_has_its_label() -> None:
    assert set(policies("sluice")) == {
        "oldest-unacknowledged",
        "dead-letters",
        "share-rejected",
        "day-not-aggregated",
        "day-keeps-failing",
    }
    for key, policy in policies("sluice").items():
        assert policy["userLabels"] == {"sluice": "sluice", "alert": key}
        assert policy["displayName"].startswith("sluice: ")
        assert len(policy["documentation"]["content"]) > 100
        assert len(policy["conditions"]) == 1  # a query condition can't be combined with others


def test_alerts_by_query_are_created_before_their_metrics_have_data() -> None:
    """Monitoring refuses a query of a metric without data, unless the condition disables the check."""
    conditions = [policy["conditions"][0] for policy in policies("sluice").values()]
    kind = "conditionPrometheusQueryLanguage"
    queries = [condition[kind] for condition in conditions if kind in condition]

    assert [each.get("disableMetricValidation") for each in queries] == [True, True]


def test_the_service_agent_may_sign_tokens_before_the_functions_are_deployed() -> None:
    order = [" ".join(each) for each in COMMANDS]
    [granted] = [n for n, line in enumerate(order) if "--role=roles/pubsub.serviceAgent" in line]

    assert order[granted].startswith(
        f"gcloud projects add-iam-policy-binding my-project --member=serviceAccount:{PUBSUB_AGENT}"
    )
    [made] = [n for n, line in enumerate(order) if "services identity create" in line]
    assert made < granted < next(n for n, line in enumerate(order) if "functions deploy" in line)


def test_alerts_refer_to_declared_resources_and_metrics() -> None:
    text = json.dumps(policies("sluice"))

    assert set(re.findall(r"user_(sluice_[a-z]+(?:_aggregated)?)(?:_sum)?\{", text)) == set(metrics("sluice"))
    [subscription] = [each.name for each in RESOURCES.subscriptions if each.topic == "events-dead-letter"]
    assert f'subscription_id = \\"{subscription}\\"' in text
    for each in SUBSCRIPTIONS.values():
        assert text.count(f'subscription_id = \\"{each.name}\\"') == 1


@pytest.mark.parametrize(
    ("rejected", "stored", "fires"),
    [(1, 0, False), (99, 0, False), (6, 93, False), (6, 94, True), (100, 0, True), (5, 95, False), (50, 950, False)],
)
def test_a_share_of_few_events_fires_no_alert(rejected: int, stored: int, fires: bool) -> None:
    """Evaluate the query of the alert, with the counts in place of its series."""
    [condition] = policies("sluice")["share-rejected"]["conditions"]
    query = condition["conditionPrometheusQueryLanguage"]["query"]
    for name, count in (("rejected", rejected), ("stored", stored)):
        series = f"logging_googleapis_com:user_sluice_{name}_sum"
        query = query.replace(f'sum(increase({series}{{monitored_resource="cloud_run_revision"}}[1h]))', str(count))
    # Arithmetic, comparisons and `and` read the same in PromQL and Python; `or vector(0)` replaces a missing series.
    query = query.replace(" or vector(0)", "")

    assert re.fullmatch(r"[\d ()/+>=.]+ and [\d ()/+>=.]+", query)
    assert eval(query) is fires


def test_catching_up_on_missed_days_fires_no_alert() -> None:
    """The maximum time of all missed days, plus the maximum backoff of a redelivery."""
    [condition] = policies("sluice")["day-keeps-failing"]["conditions"]
    function, subscription = load().aggregate, SUBSCRIPTIONS["aggregate"]
    busy = (MAX_MISSED_DAYS + 1) * function.timeout / function.max_instances

    longest = busy + subscription.maximum_backoff.total_seconds()
    assert longest < condition["conditionThreshold"]["thresholdValue"] < subscription.retention.total_seconds()


def test_metrics_match_logged_events_and_fields() -> None:
    logged = {"ingest_summary": {"stored", "rejected"}, "day_aggregated": set(Summary.__struct_fields__)}

    for metric in metrics("sluice").values():
        form = r'resource\.type="cloud_run_revision".*labels\.service_name="(\w+)" AND jsonPayload\.event="(\w+)"'
        [(function, event)] = re.findall(form, metric["filter"])
        assert function in PUSHED
        assert event in set(LogEvent)
        assert set(re.findall(r"EXTRACT\(jsonPayload\.(\w+)\)", metric.get("valueExtractor", ""))) <= logged[event]


def commands_of(name: str, *, adopt: bool = False, config: Path | None = None) -> list[Command]:
    """Return the commands that deploy a pipeline."""
    deployment = load(config, name)
    settings = Settings("my-project", "my-instance", MUSIC_CONTRACT, name)
    return [step.command for step in deploy_steps(target(settings, deployment, adopt=adopt), deployment)]


def test_a_named_pipeline_shares_no_resource_with_the_default_one() -> None:
    def changed(commands: list[Command]) -> set[Command]:
        """Return the commands that change something, except those of the project and of files, which differ."""
        ignored = {"services", "projects", "policies", "list", "describe"}
        return {each for each in commands if not ignored & set(each)}

    named, default = changed(commands_of("shop")), changed(commands_of("sluice"))

    assert len(named) == len(default)
    assert named & default == set()
    text = "\n".join(" ".join(each) for each in named)
    assert "functions deploy shop-ingest " in text
    assert "tables add-iam-policy-binding shop-events " in text
    assert "service-accounts create shop-ingest --display-name=Sluice: runs ingest (sluice=shop)" in text
    assert "subscriptions add-iam-policy-binding shop-events-ingest " in text
    assert "logging metrics create shop_stored " in text
    assert "sluice provision --name=shop " in text


def test_functions_have_the_label_and_the_name_of_their_pipeline() -> None:
    [function] = [each for each in commands_of("shop") if each[1:4] == ("functions", "deploy", "shop-aggregate")]

    assert {"--update-labels=sluice=shop", "--entry-point=aggregate", "--source=build/aggregate"} <= set(function)
    [variables] = [word for word in function if word.startswith("--set-env-vars")]
    assert "SLUICE_NAME=shop" in variables
    assert "SLUICE_NAME" not in " ".join(command("functions", "deploy", "aggregate"))
    assert "--update-labels=sluice=sluice" in command("functions", "deploy", "ingest")


def test_resources_without_the_mark_are_refused_before_anything_is_changed() -> None:
    steps = list(deploy_steps(TARGET, load()))
    refusals = [number for number, step in enumerate(steps) if isinstance(step, Lookup) and step.refusal]
    [enabled] = [number for number, step in enumerate(steps) if "enable" in step.command]
    changes = [number for number, step in enumerate(steps) if isinstance(step, Action) and number != enabled]

    assert len(refusals) == 3
    assert enabled < min(refusals) < max(refusals) < min(changes)


def test_the_lists_of_unowned_resources_select_the_names_of_the_pipeline_without_its_mark() -> None:
    filters = [word for each in commands_of("shop") for word in each if word.startswith("--filter=") and "NOT" in word]

    assert filters == [
        '--filter=name~"/functions/(shop-ingest|shop-aggregate|shop-query)$" AND NOT labels.sluice=shop',
        '--filter=name=(shop_days_aggregated,shop_rejected,shop_stored) AND NOT description~"[(]sluice=shop[)]"',
        "--filter=email=(" + ",".join(f"shop-{each}@my-project.iam.gserviceaccount.com" for each in ACCOUNT_NAMES) + ")"
        ' AND NOT displayName~"[(]sluice=shop[)]"',
    ]


def test_adopt_refuses_only_resources_of_other_pipelines_and_marks_accounts() -> None:
    commands = commands_of("shop", adopt=True)
    filters = [word for each in commands for word in each if word.startswith("--filter=") and "NOT" in word]

    assert [each.rpartition(" AND ")[2] for each in filters] == [
        "labels.sluice:*",
        'description~"[(]sluice="',
        'displayName~"[(]sluice="',
    ]
    updates = [each for each in commands if each[1:4] == ("iam", "service-accounts", "update")]
    assert len(updates) == len(ACCOUNTS)
    assert all(any(word.endswith("(sluice=shop)") for word in each) for each in updates)


@pytest.mark.parametrize("name", ["sluice", "shop-eu"])
def test_alerts_and_metrics_are_those_of_the_pipeline(name: str) -> None:
    text = json.dumps([policies(name), metrics(name)])
    resources = RESOURCES.named(name)

    assert "$" not in text
    found = set(re.findall(r'subscription_id = \\"(.*?)\\"', text))
    assert found == {each.name for each in resources.subscriptions}
    services = set(re.findall(r'service_name=\\"(.*?)\\"', text))
    assert services == {resource_name(name, each) for each in PUSHED}
    assert {each["userLabels"]["sluice"] for each in policies(name).values()} == {name}
    assert all(each["description"].endswith(f"(sluice={name})") for each in metrics(name).values())
    assert set(re.findall(r"user_(\w+?)(?:_sum)?\{", text)) == set(metrics(name))


def test_the_files_of_alerts_and_metrics_are_written_for_gcloud(tmp_path: Path) -> None:
    folder = write_files(tmp_path, "shop")

    files = {path.relative_to(folder).as_posix(): json.loads(path.read_text()) for path in folder.rglob("*.json")}
    assert files == {
        **{f"{key}.json": policy for key, policy in policies("shop", loads=True).items()},
        **{f"metrics/{metric}.json": content for metric, content in metrics("shop").items()},
    }
    steps = deploy_steps(msgspec.structs.replace(TARGET, name="shop", build=tmp_path), load(None, "shop"))
    used = [word.partition("=")[2] for step in steps for word in step.command if "-file=" in word]
    of_load = {folder / f"{key}.json" for key in policies("shop", loads=True).keys() - policies("shop").keys()}
    assert {Path(path) for path in used} == set(folder.rglob("*.json")) - of_load
