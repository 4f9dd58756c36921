"""The file that says how the functions are deployed: what is shipped, and what a file of one's own says otherwise."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from infra.deploy import cloud_run_limits
from infra.deploy.iam import AGGREGATE, BUILD, INGEST, TRIGGER
from infra.deploy.runtimes import PROMISED
from shared.aggregate.day_requests import TOPIC as REQUESTS
from shared.errors import SettingsError
from shared.toml_tables import Problem, only_keys, read_table

SHIPPED = Path(__file__).parent / "deploy.toml"

RUNTIMES = tuple(f"python{version.replace('.', '')}" for version in PROMISED)
# https://cloud.google.com/iam/docs/service-accounts-create, and the address of one that is there.
_ACCOUNT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]|[^@\s,]+@[a-z0-9.-]+\.gserviceaccount\.com")
# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_TOPIC = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_CHANNEL = re.compile(r"projects/[^/]+/notificationChannels/[^/]+")
_NAME = re.compile(r"[A-Za-z_]\w*")
# What deploy sets itself; another value would point a function at something it wasn't provisioned for.
_OURS = (
    "GCP_PROJECT_ID",
    "BIGTABLE_INSTANCE",
    "SLUICE_CONTRACT",
    "SLUICE_DAY_DEADLINE",
    "BIGTABLE_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "CLOUD_SCHEDULER_EMULATOR_HOST",
)
_LONGEST = 540  # seconds; event functions get no more, https://cloud.google.com/functions/quotas


class All(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[all]`: what concerns both functions."""

    runtime: str
    trigger_service_account: str
    build_service_account: str

    def check(self) -> None:
        """Raise Problem for a runtime that our tests don't know, and for what isn't an account."""
        if self.runtime not in RUNTIMES:
            raise Problem("all.runtime", self.runtime, f"one that bundles are tested under: {', '.join(RUNTIMES)}")
        _check_account("all.trigger_service_account", self.trigger_service_account)
        _check_account("all.build_service_account", self.build_service_account)


class Function(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[ingest]` and `[aggregate]`."""

    cpu: str
    memory: str
    concurrency: int
    min_instances: int
    max_instances: int
    timeout: int
    trigger_topic: str
    retry: bool
    ingress_settings: Literal["internal-only", "internal-and-gclb", "all"]
    service_account: str
    environment: dict[str, str]

    def check(self, name: str) -> None:
        """Raise Problem for a value out of bounds."""
        for key, least, most in (
            ("concurrency", 1, 1 if name == "aggregate" else 1000),
            ("min_instances", 0, 1000),
            ("max_instances", max(1, self.min_instances), 1000),
            ("timeout", 1, _LONGEST),
        ):
            if not least <= getattr(self, key) <= most:
                expected = f"{least} to {most}" if least < most else f"{least}, since a message is a day's work"
                raise Problem(f"{name}.{key}", getattr(self, key), expected)
        cloud_run_limits.check(name, self.cpu, self.memory, self.concurrency)
        if not _TOPIC.fullmatch(self.trigger_topic):
            raise Problem(f"{name}.trigger_topic", self.trigger_topic, "the name of a topic of the project, alone")
        _check_account(f"{name}.service_account", self.service_account)
        for variable, value in self.environment.items():
            if not _NAME.fullmatch(variable) or variable in _OURS:
                raise Problem(f"{name}.environment.{variable}", value, f"a variable other than {', '.join(_OURS)}")
            if "${" in value or not value.isprintable():
                raise Problem(f"{name}.environment.{variable}", value, "text without ${ and control characters")


class Alerts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[alerts]`: who is told."""

    notification_channels: list[str]

    def check(self) -> None:
        """Raise Problem for what isn't the name of a channel."""
        for channel in self.notification_channels:
            if not _CHANNEL.fullmatch(channel):
                raise Problem("alerts.notification_channels", channel, "projects/PROJECT/notificationChannels/NUMBER")


class Deployment(msgspec.Struct, frozen=True):
    """The whole file."""

    all: All
    ingest: Function
    aggregate: Function
    alerts: Alerts

    @property
    def functions(self) -> dict[str, Function]:
        """The functions by their names."""
        return {"ingest": self.ingest, "aggregate": self.aggregate}

    @property
    def accounts(self) -> dict[str, str]:
        """The account that is used, by the name of the one that is shipped."""
        return {
            INGEST.name: self.ingest.service_account,
            AGGREGATE.name: self.aggregate.service_account,
            TRIGGER.name: self.all.trigger_service_account,
            BUILD.name: self.all.build_service_account,
        }

    def check(self) -> None:
        """Raise Problem for what is wrong in a table, or doesn't fit together."""
        self.all.check()
        self.alerts.check()
        for name, function in self.functions.items():
            function.check(name)
        if self.aggregate.trigger_topic != REQUESTS:
            expected = f"{REQUESTS}, where the daily job, `sluice trigger` and aggregate itself put requests"
            raise Problem("aggregate.trigger_topic", self.aggregate.trigger_topic, expected)
        if self.ingest.trigger_topic == REQUESTS:
            raise Problem("ingest.trigger_topic", REQUESTS, "another one than that of aggregate")


def load(path: Path | None = None) -> Deployment:
    """Read the shipped file, and over it another one.

    Raises:
        SettingsError: naming the file, the key, what was found and what was expected.
    """
    shipped = _parse(SHIPPED)
    try:
        return _read(_over(shipped, _parse(path)) if path else shipped)
    except Problem as problem:
        raise SettingsError(f"{path or SHIPPED}: {problem}") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: found what isn't TOML ({error}), expected it as in {SHIPPED.name}") from None


def _over(shipped: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shipped tables with one's own values in them, a table in a table likewise."""
    merged = dict(shipped)
    for key, value in own.items():
        below = shipped.get(key)
        merged[key] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _read(document: dict[str, Any]) -> Deployment:
    only_keys(document, {"all", "ingest", "aggregate", "alerts"})
    deployment = Deployment(
        all=read_table(All, document.get("all"), "all"),
        ingest=read_table(Function, document.get("ingest"), "ingest"),
        aggregate=read_table(Function, document.get("aggregate"), "aggregate"),
        alerts=read_table(Alerts, document.get("alerts"), "alerts"),
    )
    deployment.check()
    return deployment


def _check_account(key: str, account: str) -> None:
    if not _ACCOUNT.fullmatch(account):
        raise Problem(key, account, "a name of 6 to 30 of a-z, 0-9 and -, or an address, NAME@....gserviceaccount.com")
