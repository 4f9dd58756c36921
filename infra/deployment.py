"""The file that says how the functions are deployed: what is shipped, and what a file of one's own says otherwise."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from infra.pythons import PROMISED
from shared.contract_file import Problem, only_keys, read_table
from shared.errors import SettingsError

SHIPPED = Path(__file__).parent / "deploy.toml"

RUNTIMES = tuple(f"python{version.replace('.', '')}" for version in PROMISED)
# https://cloud.google.com/functions/docs/configuring/memory: binary units, at least 256 MiB on a whole CPU.
_MEMORY = re.compile(r"([1-9]\d{0,4})(Mi|Gi)")
_CPU = ("1", "2", "4", "6", "8")
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

    def check(self) -> None:
        """Raise Problem for a runtime that our tests don't know."""
        if self.runtime not in RUNTIMES:
            raise Problem("all.runtime", self.runtime, f"one that bundles are tested under: {', '.join(RUNTIMES)}")


class Function(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[ingest]` and `[aggregate]`."""

    cpu: str
    memory: str
    concurrency: int
    min_instances: int
    max_instances: int
    timeout: int
    environment: dict[str, str]

    def check(self, name: str) -> None:
        """Raise Problem for a value out of bounds."""
        if self.cpu not in _CPU:
            raise Problem(f"{name}.cpu", self.cpu, f"one of {', '.join(_CPU)}")
        found = _MEMORY.fullmatch(self.memory)
        if not found or not 256 <= int(found[1]) * (1024 if found[2] == "Gi" else 1) <= 32 * 1024:
            raise Problem(f"{name}.memory", self.memory, "256Mi to 32Gi")
        for key, least, most in (
            ("concurrency", 1, 1 if name == "aggregate" else 1000),
            ("min_instances", 0, 1000),
            ("max_instances", max(1, self.min_instances), 1000),
            ("timeout", 1, _LONGEST),
        ):
            if not least <= getattr(self, key) <= most:
                expected = f"{least} to {most}" if least < most else f"{least}, since a message is a day's work"
                raise Problem(f"{name}.{key}", getattr(self, key), expected)
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
    deployment.all.check()
    deployment.alerts.check()
    for name, function in deployment.functions.items():
        function.check(name)
    return deployment
