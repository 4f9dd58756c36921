"""The deployment file: the defaults in deploy.toml, and a file of the user's that overrides them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import structs

from infra.deploy import cloud_run_limits
from infra.deploy.config_tables import Alerts, Dataflow, Intraday, Metrics, TableSettings, check_account, check_bucket
from infra.deploy.iam import AGGREGATE, BUILD, INGEST, LOAD, PUSH, QUERY
from infra.deploy.platform_keys import Platform, check_variable
from infra.deploy.runtimes import SUPPORTED
from infra.provision.resources import RESOURCES
from shared.aggregate.day_requests import TOPIC as REQUESTS
from shared.errors import SettingsError
from shared.names import DEFAULT_NAME
from shared.toml_tables import Problem, only_keys, read_table, read_tables

DEFAULTS = Path(__file__).parent / "deploy.toml"

RUNTIMES = tuple(f"python{version.replace('.', '')}" for version in SUPPORTED)
# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_TOPIC = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
# https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
EXPORTER = "OTEL_METRICS_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
# The timeout of a push, after which Pub/Sub delivers the message again (https://cloud.google.com/pubsub/docs/push).
_MAX_TIMEOUT_SECONDS = int(max(each.ack_deadline for each in RESOURCES.subscriptions).total_seconds())
_TABLES = {"all", "ingest", "aggregate", "query", "load", "alerts", "tables", "metrics", "intraday", "dataflow"}
# The functions whose instances get one request at a time, and why.
_ONE_AT_A_TIME = {"aggregate": "each message is a whole day", "load": "each message is a range of an object"}


class All(Platform, forbid_unknown_fields=True, frozen=True):
    """The table `[all]`: settings of all functions."""

    runtime: str
    push_service_account: str
    build_service_account: str

    def check(self) -> None:
        """Raise Problem for an unsupported runtime, or another invalid value."""
        self.check_platform("all")
        if self.runtime not in RUNTIMES:
            raise Problem("all.runtime", self.runtime, f"a runtime that bundles are tested on: {', '.join(RUNTIMES)}")
        check_account("all.push_service_account", self.push_service_account)
        check_account("all.build_service_account", self.build_service_account)


class Function(Platform, forbid_unknown_fields=True, frozen=True):
    """The table `[query]`, and the base of `[ingest]` and `[aggregate]`."""

    cpu: str
    memory: str
    concurrency: int
    min_instances: int
    max_instances: int
    timeout: int
    ingress_settings: Literal["internal-only", "internal-and-gclb", "all"]
    service_account: str
    environment: dict[str, str]

    def check(self, name: str) -> None:
        """Raise Problem for an invalid value."""
        self.check_platform(name)
        for key, minimum, maximum in (
            ("concurrency", 1, 1 if name in _ONE_AT_A_TIME else 1000),
            ("min_instances", 0, 1000),
            ("max_instances", max(1, self.min_instances), 1000),
            ("timeout", 1, _MAX_TIMEOUT_SECONDS),
        ):
            if not minimum <= getattr(self, key) <= maximum:
                expected = f"{minimum} to {maximum}" if minimum < maximum else f"{minimum}: {_ONE_AT_A_TIME[name]}"
                raise Problem(f"{name}.{key}", getattr(self, key), expected)
        cloud_run_limits.check(name, self.cpu, self.memory, self.concurrency)
        check_account(f"{name}.service_account", self.service_account)
        for variable, value in self.environment.items():
            check_variable(f"{name}.environment.{variable}", variable, value)
            if "${" in value or not value.isprintable():
                raise Problem(f"{name}.environment.{variable}", value, "text without ${ and control characters")


class PushedFunction(Function, forbid_unknown_fields=True, frozen=True):
    """The tables `[ingest]` and `[aggregate]`: functions that the messages of a topic are pushed to."""

    topic: str

    def check(self, name: str) -> None:
        """Raise Problem for an invalid value."""
        super().check(name)
        if not _TOPIC.fullmatch(self.topic):
            expected = "the name of a topic of the project, without a path"
            raise Problem(f"{name}.topic", self.topic, expected)


class LoadFunction(Function, forbid_unknown_fields=True, frozen=True):
    """The table `[load]`: the function that loads the objects of a bucket; without a bucket it isn't deployed."""

    bucket: str

    def check(self, name: str) -> None:
        """Raise Problem for an invalid value."""
        super().check(name)
        if self.bucket:
            check_bucket(f"{name}.bucket", self.bucket)


class Deployment(msgspec.Struct, frozen=True):
    """The whole file."""

    all: All
    ingest: PushedFunction
    aggregate: PushedFunction
    query: Function
    load: LoadFunction
    alerts: Alerts
    tables: dict[str, TableSettings] = {}
    metrics: Metrics = Metrics()
    dataflow: Dataflow = Dataflow(0, "", "", "", "", 1)
    intraday: Intraday = Intraday()

    @property
    def functions(self) -> dict[str, Function]:
        """The functions by their names; `load` only with a bucket."""
        return {**self.pushed, "query": self.query, **({"load": self.load} if self.load.bucket else {})}

    @property
    def pushed(self) -> dict[str, PushedFunction]:
        """The functions that receive the messages of a topic that can be chosen, by their names."""
        return {"ingest": self.ingest, "aggregate": self.aggregate}

    @property
    def retention(self) -> dict[str, timedelta | None]:
        """The age up to which each named table keeps cells; None for all."""
        return {name: table.age for name, table in self.tables.items()}

    @property
    def accounts(self) -> dict[str, str]:
        """The configured account for each of our account names."""
        return {
            INGEST.name: self.ingest.service_account,
            AGGREGATE.name: self.aggregate.service_account,
            QUERY.name: self.query.service_account,
            LOAD.name: self.load.service_account,
            PUSH.name: self.all.push_service_account,
            BUILD.name: self.all.build_service_account,
        }

    def named(self, name: str) -> Deployment:
        """Return a copy in which the name of the pipeline replaces {name} in the names of accounts."""

        def fill(account: str) -> str:
            return account.replace("{name}", name)

        return structs.replace(
            self,
            all=structs.replace(
                self.all,
                push_service_account=fill(self.all.push_service_account),
                build_service_account=fill(self.all.build_service_account),
            ),
            ingest=structs.replace(self.ingest, service_account=fill(self.ingest.service_account)),
            aggregate=structs.replace(self.aggregate, service_account=fill(self.aggregate.service_account)),
            query=structs.replace(self.query, service_account=fill(self.query.service_account)),
            load=structs.replace(self.load, service_account=fill(self.load.service_account)),
        )

    def platform(self, name: str) -> Platform:
        """Return the keys of `[all]`, overridden by those of a function."""
        return self.all.overridden(self.functions[name])

    def check(self) -> None:
        """Raise Problem for an invalid table, or for tables that contradict each other."""
        self.all.check()
        self.alerts.check()
        for name, function in {**self.functions, "load": self.load}.items():
            function.check(name)
            self._check_platform(name, function)
        for name, table in self.tables.items():
            table.check(name)
        self._check_metrics()
        self.dataflow.check()
        self.intraday.check()
        if self.aggregate.topic != REQUESTS:
            expected = f"{REQUESTS}, the topic of the daily job, of `sluice trigger` and of aggregate itself"
            raise Problem("aggregate.topic", self.aggregate.topic, expected)
        if self.ingest.topic == REQUESTS:
            raise Problem("ingest.topic", REQUESTS, "a topic other than that of aggregate")

    def _check_platform(self, name: str, function: Function) -> None:
        platform = self.all.overridden(function)
        if platform.egress_settings and not platform.vpc_connector:
            raise Problem(f"{name}.egress_settings", platform.egress_settings, f"none without {name}.vpc_connector")
        if platform.kms_key and not platform.docker_repository:
            expected = f"a repository in Artifact Registry that is encrypted with {name}.kms_key"
            raise Problem(f"{name}.docker_repository", platform.docker_repository, expected)
        for variable in platform.secrets.keys() & function.environment.keys():
            expected = "a variable that isn't in the environment, too"
            raise Problem(f"{name}.secrets.{variable}", platform.secrets[variable], expected)

    def _check_metrics(self) -> None:
        if not self.metrics.otlp:
            return
        environment = self.ingest.environment
        exporter = environment.get(EXPORTER, "otlp")
        if exporter != "otlp":
            raise Problem(f"ingest.environment.{EXPORTER}", exporter, "otlp or none, since metrics.otlp is true")
        if not {*environment, *self.platform("ingest").secrets} & set(_ENDPOINTS):
            expected = f"the address of a collector in ingest.environment, as {' or '.join(_ENDPOINTS)}"
            raise Problem("metrics.otlp", True, expected)


def load(path: Path | None = None, name: str = DEFAULT_NAME) -> Deployment:
    """Read the defaults, overridden by a file if given, for the pipeline of a name.

    Raises:
        SettingsError: names the file, the key, what was found and what was expected.
    """
    defaults = _parse(DEFAULTS)
    try:
        return _convert(_merge(defaults, _parse(path)) if path else defaults, name)
    except Problem as problem:
        raise SettingsError(f"{path or DEFAULTS}: {problem}") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: found invalid TOML ({error}), expected TOML as in {DEFAULTS.name}") from None


def _merge(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults with overridden values; nested tables are merged recursively."""
    merged = dict(defaults)
    for key, value in overrides.items():
        default = defaults.get(key)
        merged[key] = _merge(default, value) if isinstance(default, dict) and isinstance(value, dict) else value
    return merged


def _convert(document: dict[str, Any], name: str) -> Deployment:
    only_keys(document, _TABLES)
    tables = read_tables(document, "tables", required=False)
    deployment = Deployment(
        all=read_table(All, document.get("all"), "all"),
        ingest=read_table(PushedFunction, document.get("ingest"), "ingest"),
        aggregate=read_table(PushedFunction, document.get("aggregate"), "aggregate"),
        query=read_table(Function, document.get("query"), "query"),
        load=read_table(LoadFunction, document.get("load"), "load"),
        alerts=read_table(Alerts, document.get("alerts"), "alerts"),
        tables={name: read_table(TableSettings, table, f"tables.{name}") for name, table in tables.items()},
        metrics=read_table(Metrics, document.get("metrics"), "metrics"),
        dataflow=read_table(Dataflow, document.get("dataflow"), "dataflow"),
        intraday=read_table(Intraday, document.get("intraday"), "intraday"),
    )
    deployment = deployment.named(name)
    deployment.check()
    return deployment
