"""The settings of a process, read once from the environment; nothing else reads it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from shared.errors import SettingsError

_Default = TypeVar("_Default", float, None)

Service = Literal["bigtable", "pubsub", "scheduler"]
EMULATOR_VARIABLES: dict[Service, str] = {
    "bigtable": "BIGTABLE_EMULATOR_HOST",
    "pubsub": "PUBSUB_EMULATOR_HOST",
    "scheduler": "CLOUD_SCHEDULER_EMULATOR_HOST",
}
DEFAULT_CONTRACT = Path(__file__).parent / "contracts" / "music.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to store, under which contract, and how long to try.

    Attributes:
        project_id: Google Cloud project, `GCP_PROJECT_ID`.
        instance_id: Bigtable instance, `BIGTABLE_INSTANCE`.
        contract: path of the contract file, `SLUICE_CONTRACT`; the music contract by default.
        app_profile: Bigtable app profile, `BIGTABLE_APP_PROFILE`; the instance's default profile when empty.
        bigtable_emulator: `host:port` of an emulator to use instead of Google Cloud, `BIGTABLE_EMULATOR_HOST`.
        pubsub_emulator: likewise for Pub/Sub, `PUBSUB_EMULATOR_HOST`.
        scheduler_emulator: likewise for Cloud Scheduler, `CLOUD_SCHEDULER_EMULATOR_HOST`.
        region: where the functions and the schedule are, `GCP_REGION`; us-central1 by default.
        store_deadline: seconds until a write that Bigtable hasn't acknowledged is given up and handed back to
            Pub/Sub, `SLUICE_STORE_DEADLINE`. 60 by default: long enough for a tablet to move, a tenth of the 600 s ack
            deadline that our subscriptions have.
        day_deadline: seconds until a day that isn't computed is given up and handed back to Pub/Sub,
            `SLUICE_DAY_DEADLINE`; never by default. `sluice deploy` sets it to a little less than the function has:
            Cloud Run ends a request that takes longer, but not its work, which would share the instance with the next
            (https://cloud.google.com/run/docs/configuring/request-timeout).
        metrics_exporter: where OpenTelemetry metrics go, `OTEL_METRICS_EXPORTER`; nowhere by default.
        lookback_days: how far back a read of a user's events goes when no start is given, `SLUICE_LOOKBACK_DAYS`.
    """

    project_id: str
    instance_id: str
    contract: Path = DEFAULT_CONTRACT
    app_profile: str = ""
    bigtable_emulator: str | None = None
    pubsub_emulator: str | None = None
    scheduler_emulator: str | None = None
    region: str = "us-central1"
    store_deadline: float = 60.0
    day_deadline: float | None = None
    lookback_days: int = 400
    metrics_exporter: str = ""

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        project_id: str | None = None,
        instance_id: str | None = None,
        contract: Path | str | None = None,
    ) -> Settings:
        """Read the settings; what is given as an argument wins over its variable.

        Args:
            environment: the variables; those of the process by default.
            project_id: instead of `GCP_PROJECT_ID`.
            instance_id: instead of `BIGTABLE_INSTANCE`.
            contract: instead of `SLUICE_CONTRACT`.

        Raises:
            SettingsError: a variable is missing or can't be what it should be.
        """
        env = os.environ if environment is None else environment
        return cls(
            project_id=_identifier("project_id", "GCP_PROJECT_ID", project_id, env),
            instance_id=_identifier("instance_id", "BIGTABLE_INSTANCE", instance_id, env),
            contract=contract_path(contract, env),
            app_profile=env.get("BIGTABLE_APP_PROFILE", ""),
            bigtable_emulator=env.get("BIGTABLE_EMULATOR_HOST") or None,
            pubsub_emulator=env.get("PUBSUB_EMULATOR_HOST") or None,
            scheduler_emulator=env.get("CLOUD_SCHEDULER_EMULATOR_HOST") or None,
            region=env.get("GCP_REGION") or "us-central1",
            store_deadline=_positive("SLUICE_STORE_DEADLINE", env, default=60.0, most=540.0),
            day_deadline=_positive("SLUICE_DAY_DEADLINE", env, default=None, most=3_600),
            lookback_days=math.ceil(_positive("SLUICE_LOOKBACK_DAYS", env, default=400, most=36_500)),
            metrics_exporter=env.get("OTEL_METRICS_EXPORTER", ""),
        )

    @property
    def emulators(self) -> dict[Service, str]:
        """Addresses of the services that are emulators."""
        addresses: dict[Service, str | None] = {
            "bigtable": self.bigtable_emulator,
            "pubsub": self.pubsub_emulator,
            "scheduler": self.scheduler_emulator,
        }
        return {service: address for service, address in addresses.items() if address}

    def emulated(self, *services: Service) -> bool:
        """Return whether services are emulators (True) or Google Cloud (False).

        Args:
            services: that are used together; by default Bigtable and Pub/Sub, and the scheduler if it is an emulator.

        Raises:
            SettingsError: some are emulators and others are Google Cloud.
        """
        found = self.emulators
        needed = services or ("bigtable", "pubsub", *(("scheduler",) if "scheduler" in found else ()))
        present = [EMULATOR_VARIABLES[service] for service in needed if service in found]
        missing = [EMULATOR_VARIABLES[service] for service in needed if service not in found]
        if present and missing:
            raise SettingsError(
                f"found {' and '.join(present)} without {' and '.join(missing)}, expected all of them for emulators or "
                "none for Google Cloud"
            )
        return bool(present)


def contract_path(given: Path | str | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """Return the contract file to use: the one given, else `SLUICE_CONTRACT`, else the music contract."""
    env = os.environ if environment is None else environment
    return Path(given or env.get("SLUICE_CONTRACT") or DEFAULT_CONTRACT)


def _identifier(name: str, variable: str, given: str | None, env: Mapping[str, str]) -> str:
    value = given if given is not None else env.get(variable, "")
    if not value or "/" in value or value != value.strip():
        raise SettingsError(
            f"{variable} (or {name}=): found {value!r}, expected an identifier such as "
            f"{'my-project' if name == 'project_id' else 'my-instance'}"
        )
    return value


def _positive(variable: str, env: Mapping[str, str], *, default: _Default, most: float) -> float | _Default:
    text = env.get(variable, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        raise SettingsError(f"{variable}: found {text!r}, expected a number above 0 and up to {most:g}")
    return value
