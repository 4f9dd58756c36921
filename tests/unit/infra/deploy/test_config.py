"""The deployment file: defaults, overrides and validation."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from infra.deploy import cloud_run_limits, runtimes
from infra.deploy.config import DEFAULTS, load
from infra.deploy.iam import ACCOUNTS, GRANTS, configured_accounts, configured_grants
from shared.config import Settings
from shared.errors import SettingsError
from shared.toml_tables import Problem


def test_a_custom_file_needs_only_the_keys_that_differ(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[ingest]\nmin_instances = 1\n[ingest.environment]\nBIGTABLE_APP_PROFILE = "serving"\n')

    defaults, custom = load(), load(file)

    assert (defaults.ingest.min_instances, custom.ingest.min_instances) == (0, 1)
    assert custom.ingest.environment == {"BIGTABLE_APP_PROFILE": "serving"}
    assert custom.ingest.concurrency == defaults.ingest.concurrency
    assert custom.aggregate == defaults.aggregate


def test_the_defaults_are_consistent_with_the_functions() -> None:
    defaults = load()

    assert defaults.all.runtime == f"python{runtimes.DEPLOYED.replace('.', '')}"
    assert defaults.aggregate.concurrency == 1
    # The function responds before Cloud Run stops it, and before Pub/Sub redelivers the message.
    assert Settings("p", "i").store_deadline < defaults.ingest.timeout < 600
    assert defaults.aggregate.timeout == 540


def test_every_default_has_a_comment() -> None:
    """The line before each key is a comment."""
    defaults = DEFAULTS.read_text()
    lines = [line for line in defaults.splitlines() if line]
    keys = [(lines[number - 1], line) for number, line in enumerate(lines) if re.match(r"\w+ = ", line)]

    assert [line for before, line in keys if not before.startswith("# ")] == []
    tables = tomllib.loads(defaults)
    functions = {"ingest", "aggregate", "query", "load"}
    assert set(tables) == {"all", *functions, "alerts", "tables", "metrics", "intraday", "dataflow"}
    assert len(keys) == sum(not isinstance(value, dict) for table in tables.values() for value in table.values())


def test_the_retention_of_each_table_is_the_users(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[tables.events]\nretention = "400d"\n[tables.rejected]\nretention = "forever"\n')

    assert load().retention == {}
    assert load(file).retention == {"events": timedelta(days=400), "rejected": None}


def test_custom_accounts_get_the_same_roles(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    existing = "runner@other.iam.gserviceaccount.com"
    file.write_text(f'[ingest]\nservice_account = "{existing}"\n[all]\npush_service_account = "my-push"\n')

    accounts = load(file).accounts

    assert {account.name for account in configured_accounts(accounts)} == {
        "sluice-aggregate",
        "sluice-query",
        "my-push",
        "sluice-build",
    }
    assert len(configured_grants(accounts)) == len(GRANTS)
    pairs = [(old, new) for old, new in zip(GRANTS, configured_grants(accounts), strict=True) if old != new]
    assert {(old.account, new.account) for old, new in pairs} == {
        ("sluice-ingest", existing),
        ("sluice-push", "my-push"),
    }
    assert {new.member("p") for _, new in pairs} == {
        f"serviceAccount:{existing}",
        "serviceAccount:my-push@p.iam.gserviceaccount.com",
    }
    assert (configured_accounts(load().accounts), configured_grants(load().accounts)) == (ACCOUNTS, GRANTS)


def test_accounts_and_roles_of_a_named_pipeline_have_its_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[all]\npush_service_account = 'team-{name}-push'\nbuild_service_account = 'my-build'\n")

    accounts = load(file, "shop").accounts

    assert [account.name for account in configured_accounts(accounts, "shop")] == [
        "shop-ingest",
        "shop-aggregate",
        "shop-query",
        "team-shop-push",
        "my-build",
    ]
    resources = {(grant.kind, grant.resource) for grant in configured_grants(accounts, "shop")}
    assert {resource for kind, resource in resources if kind == "project"} == {""}
    assert all(resource.startswith("shop-") for kind, resource in resources if kind != "project")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[dataflow]\nfrom_events = -1", "dataflow.from_events: found -1, expected a number of events, or 0 for never"),
        ("[dataflow]\nfrom_events = 1", "dataflow.template: found '', expected gs://BUCKET/PATH"),
        ("[dataflow]\nfrom_events = 1\ntemplate = 'gs://b'", "dataflow.template: found 'gs://b', expected gs://BUCKET"),
        (
            "[dataflow]\nfrom_events = 1\ntemplate = 'gs://bucket/t.json'\nstaging = 'gs://bucket/s'",
            "dataflow.image: found '', expected an image",
        ),
        (
            "[dataflow]\nfrom_events = 1\ntemplate = 'gs://bucket/t.json'\nstaging = 'gs://bucket/s'\nimage = 'a/b'",
            "dataflow.service_account: found '', expected a name",
        ),
        ("[dataflow]\nmax_workers = 0", "dataflow.max_workers: found 0, expected 1 to 1,000"),
        ("[ingest.labels]\nsluice = 'a'", "ingest.labels.sluice: found 'a', expected another label"),
        (
            "[ingest.environment]\nSLUICE_NAME = 'a'",
            "ingest.environment.SLUICE_NAME: found 'a', expected",
        ),
        ("[ingest]\nmemroy = '1Gi'", "ingest.memroy: found '1Gi', expected only the keys cpu, memory, concurrency"),
        (
            "[functions]\ncpu = '1'",
            "functions: found {'cpu': '1'}, expected only the top-level keys aggregate, alerts, all, dataflow",
        ),
        ("ingest = 3", "ingest: found 3, expected a table [ingest]"),
        ("[ingest]\nmemory = 512", "ingest.memory: found 512, expected text"),
        ("[ingest]\nmemory = '512MB'", "ingest.memory: found '512MB', expected 128Mi to 4Gi, since cpu is 1"),
        ("[ingest]\nmemory = '64Mi'", "ingest.memory: found '64Mi', expected 128Mi to 4Gi, since cpu is 1"),
        ("[ingest]\nmemory = '8Gi'", "ingest.memory: found '8Gi', expected 128Mi to 4Gi, since cpu is 1"),
        ("[ingest]\ncpu = '3'", "ingest.cpu: found '3', expected one of 1, 2, 4, 6, 8, or 0.08 to 0.999"),
        ("[ingest]\ncpu = '0.07'", "ingest.cpu: found '0.07', expected one of"),
        ("[ingest]\ncpu = '0.5'", "ingest.cpu: found '0.5', expected 1 or more: less than one CPU allows one"),
        ("[ingest]\ncpu = '4'", "ingest.memory: found '512Mi', expected 2Gi to 16Gi, since cpu is 4"),
        ("[aggregate]\ncpu = '0.4'", "aggregate.memory: found '1Gi', expected 128Mi to 512Mi, since cpu is 0.4"),
        (
            "[ingest]\ningress_settings = 'internal'",
            "ingest.ingress_settings: found 'internal', expected 'internal-only' or 'internal-and-gclb' or 'all'",
        ),
        ("[ingest]\ntopic = 'a'", "ingest.topic: found 'a', expected the name of a topic"),
        ("[ingest]\ntopic = 'projects/p/topics/t'", "ingest.topic: found 'projects/p/topics/t'"),
        (
            "[aggregate]\ntopic = 'mine'",
            "aggregate.topic: found 'mine', expected aggregate-requests, the topic of the daily job",
        ),
        (
            "[ingest]\ntopic = 'aggregate-requests'",
            "ingest.topic: found 'aggregate-requests', expected a topic other than that of aggregate",
        ),
        ("[ingest]\nservice_account = 'me@example.com'", "ingest.service_account: found 'me@example.com', expected a"),
        ("[all]\nbuild_service_account = 'Build'", "all.build_service_account: found 'Build', expected a name"),
        ("[all]\nallow_unauthenticated = true", "all.allow_unauthenticated: found True, expected only the keys"),
        ("[ingest]\nconcurrency = 0", "ingest.concurrency: found 0, expected 1 to 1000"),
        ("[aggregate]\nconcurrency = 2", "aggregate.concurrency: found 2, expected 1: each message is a whole day"),
        ("[load]\nconcurrency = 2", "load.concurrency: found 2, expected 1: each message is a range of an object"),
        ("[load]\nbucket = 'gs://mine'", "load.bucket: found 'gs://mine', expected the name of a bucket without gs://"),
        ("[load]\ntopic = 'mine'", "load.topic: found 'mine', expected only the keys"),
        ("[ingest]\nmin_instances = 5\nmax_instances = 4", "ingest.max_instances: found 4, expected 5 to 1000"),
        ("[aggregate]\ntimeout = 3600", "aggregate.timeout: found 3600, expected 1 to 600"),
        (
            "[all]\nruntime = 'python310'",
            "all.runtime: found 'python310', expected a runtime that bundles are tested on",
        ),
        ("[aggregate.environment]\nSLUICE_CPU = '2'", "aggregate.environment.SLUICE_CPU: found '2', expected"),
        ("[ingest.environment]\nGCP_PROJECT_ID = 'x'", "ingest.environment.GCP_PROJECT_ID: found 'x', expected"),
        ("[ingest.environment]\n'A B' = 'x'", "ingest.environment.A B: found 'x', expected a variable"),
        ("[ingest.environment]\nA = 'x${NUMBER}'", "ingest.environment.A: found 'x${NUMBER}', expected text without"),
        ("[alerts]\nnotification_channels = ['me']", "alerts.notification_channels: found 'me', expected projects/"),
        (
            "[tables.state]\nretention = '30d'",
            "tables: found 'state', expected one of the tables events, rejected, agg",
        ),
        ("[tables.events]\nretention = '0d'", "tables.events.retention: found '0d', expected days such as \"30d\", or"),
        ("[tables.events]\nretention = '12h'", "tables.events.retention: found '12h', expected days such as"),
        ("[tables.events]\nretention = 30", "tables.events.retention: found 30, expected text"),
        ("[tables.events]\nkeep = '30d'", "tables.events.keep: found '30d', expected only the keys retention"),
        ("[tables.events]", "tables.events.retention: found nothing, expected text"),
        ("[tables]\nevents = '30d'", "tables.events: found '30d', expected a table [tables.events]"),
        ("tables = '30d'", "tables: found '30d', expected tables such as [tables.name]"),
        (
            "[all]\nvpc_connector = 'A/b'",
            "all.vpc_connector: found 'A/b', expected the name of a connector, or",
        ),
        (
            "[ingest]\nvpc_connector = 'c'",
            "ingest.vpc_connector: found 'c', expected the name of a connector",
        ),
        (
            "[ingest]\negress_settings = 'all'",
            "ingest.egress_settings: found 'all', expected none without ingest.vpc_connector",
        ),
        (
            "[all]\negress_settings = 'some'",
            "all.egress_settings: found 'some', expected '' or 'private-ranges-only' or 'all'",
        ),
        ("[aggregate]\nkms_key = 'mine'", "aggregate.kms_key: found 'mine', expected projects/P/locations/L/keyRings/"),
        (
            "[all]\nkms_key = 'projects/p/locations/l/keyRings/r/cryptoKeys/k'",
            "ingest.docker_repository: found '', expected a repository in Artifact Registry that is encrypted with",
        ),
        ("[all]\ndocker_repository = 'Mine'", "all.docker_repository: found 'Mine', expected projects/P/locations/L/"),
        ("[all.labels]\nTeam = 'a'", "all.labels.Team: found 'a', expected up to 63 of a-z, 0-9, _ and -"),
        ("[ingest.labels]\nteam = 'A B'", "ingest.labels.team: found 'A B', expected up to 63 of a-z"),
        ("[ingest.labels]\nteam = 3", "ingest.labels: found {'team': 3}, expected a table"),
        ("[ingest.secrets]\nTOKEN = 'token'", "ingest.secrets.TOKEN: found 'token', expected SECRET:VERSION, where"),
        ("[all.secrets]\nTOKEN = 'token:0'", "all.secrets.TOKEN: found 'token:0', expected SECRET:VERSION, where"),
        ("[all.secrets]\nX_GOOGLE_A = 'a:1'", "all.secrets.X_GOOGLE_A: found 'a:1', expected a variable other than"),
        ("[all.secrets]\nGCP_PROJECT_ID = 'a:1'", "all.secrets.GCP_PROJECT_ID: found 'a:1', expected a variable other"),
        (
            "[all.secrets]\nTOKEN = 'a:1'\n[ingest.environment]\nTOKEN = 'b'",
            "ingest.secrets.TOKEN: found 'a:1', expected a variable that isn't in the environment, too",
        ),
        ("[metrics]\notlp = 1", "metrics.otlp: found 1, expected true or false"),
        (
            "[metrics]\notlp = true",
            "metrics.otlp: found True, expected the address of a collector in ingest.env",
        ),
        (
            "[metrics]\notlp = true\n[ingest.environment]\nOTEL_METRICS_EXPORTER = 'console'",
            "ingest.environment.OTEL_METRICS_EXPORTER: found 'console', expected otlp or none, since metrics.otlp is",
        ),
        (
            "[intraday]\nevery_minutes = 7",
            "intraday.every_minutes: found 7, expected 0, or an interval that divides the day: 1, 2, 3, 4, 5, 6, ",
        ),
        ("[intraday]\nevery_minutes = 1440", "intraday.every_minutes: found 1440, expected 0, or an interval"),
        ("[intraday]\nminutes = 15", "intraday.minutes: found 15, expected only the keys every_minutes"),
        ("[ingest", "found invalid TOML"),
    ],
)
def test_an_invalid_file_is_rejected_with_file_key_found_and_expected(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=re.escape(str(file))) as raised:
        load(file)

    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("cpu", "memory", "concurrency"),
    [
        ("0.08", "128Mi", 1),
        ("0.499", "512Mi", 1),
        ("0.5", "1Gi", 1),
        ("1", "128Mi", 1000),
        ("1", "4Gi", 80),
        ("2", "8192Mi", 80),
        ("4", "2Gi", 80),
        ("4", "16Gi", 80),
        ("6", "24Gi", 80),
        ("8", "4Gi", 80),
        ("8", "32Gi", 80),
    ],
)
def test_a_combination_that_cloud_run_accepts_is_accepted(cpu: str, memory: str, concurrency: int) -> None:
    cloud_run_limits.check("ingest", cpu, memory, concurrency)


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [
        ("0.499", "513Mi"),
        ("0.5", "1025Mi"),
        ("1", "127Mi"),
        ("1", "4097Mi"),
        ("2", "9Gi"),
        ("4", "2047Mi"),
        ("4", "17Gi"),
        ("6", "4095Mi"),
        ("6", "25Gi"),
        ("8", "3Gi"),
        ("8", "33Gi"),
    ],
)
def test_a_combination_that_cloud_run_rejects_is_rejected(cpu: str, memory: str) -> None:
    with pytest.raises(Problem, match=rf"^ingest\.memory: found '{memory}', expected .*, since cpu is {cpu}$"):
        cloud_run_limits.check("ingest", cpu, memory, 1)


@pytest.mark.parametrize("secret", ["endpoint:latest", "projects/p/secrets/endpoint:3"])
def test_the_address_of_the_collector_may_be_a_secret(tmp_path: Path, secret: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"[metrics]\notlp = true\n[all.secrets]\nOTEL_EXPORTER_OTLP_ENDPOINT = '{secret}'\n")

    assert load(file).metrics.otlp
    assert load(file).platform("ingest").secrets == {"OTEL_EXPORTER_OTLP_ENDPOINT": secret}


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: can't be read: No such file"):
        load(Path("nowhere.toml"))
