"""The settings of a process, read once from its environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import structs

from shared.errors import SettingsError
from shared.names import DEFAULT_NAME, check_name, resource_name

_Default = TypeVar("_Default", float, None)

Service = Literal["bigtable", "pubsub", "scheduler"]
EMULATOR_VARIABLES: dict[Service, str] = {
    "bigtable": "BIGTABLE_EMULATOR_HOST",
    "pubsub": "PUBSUB_EMULATOR_HOST",
    "scheduler": "CLOUD_SCHEDULER_EMULATOR_HOST",
}
DEFAULT_CONTRACT = Path(__file__).parent / "contracts" / "music.toml"


class DataflowSettings(msgspec.Struct, frozen=True):
    """When and how days go to Dataflow instead of the function `aggregate`; `sluice deploy` sets the variables.

    Attributes:
        from_events: number of events in a day from which on it does, `SLUICE_DATAFLOW_FROM_EVENTS`.
        template: the Flex Template, gs://BUCKET/PATH, `SLUICE_DATAFLOW_TEMPLATE`.
        staging: where jobs put temporary files, gs://BUCKET/PATH, `SLUICE_DATAFLOW_STAGING`.
        image: of the workers, `SLUICE_DATAFLOW_IMAGE`.
        service_account: address of the workers' account, `SLUICE_DATAFLOW_SERVICE_ACCOUNT`.
        max_workers: `SLUICE_DATAFLOW_MAX_WORKERS`.
    """

    from_events: int
    template: str
    staging: str
    image: str
    service_account: str
    max_workers: int

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> DataflowSettings | None:
        """Read the settings; None without `SLUICE_DATAFLOW_FROM_EVENTS`.

        Raises:
            SettingsError: another variable is missing or invalid.
        """
        from_events = _positive("SLUICE_DATAFLOW_FROM_EVENTS", env, default=None, maximum=1e15)
        if from_events is None:
            return None
        texts = {}
        for name, part, expected in (
            ("template", "gs://", "gs://BUCKET/PATH"),
            ("staging", "gs://", "gs://BUCKET/PATH"),
            ("image", "/", "an image such as REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE:TAG"),
            ("service_account", "@", "the address of an account"),
        ):
            variable = f"SLUICE_DATAFLOW_{name.upper()}"
            texts[name] = env.get(variable, "")
            if part not in texts[name]:
                raise SettingsError(f"{variable}: found {texts[name]!r}, expected {expected}")
        workers = _positive("SLUICE_DATAFLOW_MAX_WORKERS", env, default=20, maximum=1_000)
        return cls(math.ceil(from_events), max_workers=math.ceil(workers), **texts)


class Settings(msgspec.Struct, frozen=True):
    """The settings of a process.

    Attributes:
        project_id: Google Cloud project, `GCP_PROJECT_ID`.
        instance_id: Bigtable instance, `BIGTABLE_INSTANCE`.
        name: name of the pipeline, `SLUICE_NAME`; sluice by default. It prefixes all resources: see `resource`.
        contract: path of the contract file, `SLUICE_CONTRACT`; the music contract by default.
        app_profile: Bigtable app profile, `BIGTABLE_APP_PROFILE`; empty for the instance's default profile. Reads
            through another profile may be stale: see `shared.tables.state.MAX_STALENESS`.
        bigtable_emulator: `host:port` of a Bigtable emulator, `BIGTABLE_EMULATOR_HOST`; Google Cloud by default.
        pubsub_emulator: `host:port` of a Pub/Sub emulator, `PUBSUB_EMULATOR_HOST`; Google Cloud by default.
        scheduler_emulator: `host:port` of a Cloud Scheduler emulator, `CLOUD_SCHEDULER_EMULATOR_HOST`; Google Cloud by
            default.
        storage_emulator: URL of a Cloud Storage emulator, `STORAGE_EMULATOR_HOST`; Google Cloud by default.
        region: region of the functions and the schedule, `GCP_REGION`; us-central1 by default.
        store_deadline: seconds until a write without Bigtable's acknowledgement fails and Pub/Sub redelivers the
            message, `SLUICE_STORE_DEADLINE`. The default of 60 is long enough for a tablet to move, and a tenth of the
            subscriptions' ack deadline of 600 s.
        day_deadline: seconds until the computation of a day fails and Pub/Sub redelivers the request,
            `SLUICE_DAY_DEADLINE`; no limit by default. `sluice deploy` sets it slightly below the function's timeout:
            Cloud Run ends a request that takes longer, but not its work, which would share the instance with the next
            request (https://cloud.google.com/run/docs/configuring/request-timeout).
        load_deadline: seconds after which the load of a range stops and requests its own continuation,
            `SLUICE_LOAD_DEADLINE`. `sluice deploy` sets it below the function's timeout.
        load_range_bytes: bytes of an object that one request loads, `SLUICE_LOAD_RANGE_BYTES`; 64 MiB by default,
            which take about 15 s.
        cpu: CPUs that the function was deployed with, `SLUICE_CPU`, which `sluice deploy` sets; as many as the process
            sees by default. On Cloud Run a process sees two with one CPU (https://github.com/dotnet/runtime/issues/99046).
        metrics_exporter: destination of OpenTelemetry metrics, `OTEL_METRICS_EXPORTER`; none by default.
        summary_interval: seconds between two summaries in the log of `ingest`, `SLUICE_SUMMARY_INTERVAL`.
        lookback_days: days that a read of a user's events without a start goes back, `SLUICE_LOOKBACK_DAYS`.
        dataflow: when and how days go to Dataflow; None for never.
        mask_key: secret of contracts with `mask = "hash"`, `SLUICE_MASK_KEY`; never shown.
    """

    project_id: str
    instance_id: str
    contract: Path = DEFAULT_CONTRACT
    name: str = DEFAULT_NAME
    app_profile: str = ""
    bigtable_emulator: str | None = None
    pubsub_emulator: str | None = None
    scheduler_emulator: str | None = None
    storage_emulator: str | None = None
    region: str = "us-central1"
    store_deadline: float = 60.0
    day_deadline: float | None = None
    load_deadline: float = 480.0
    load_range_bytes: int = 64 << 20
    cpu: float | None = None
    summary_interval: float = 5.0
    lookback_days: int = 400
    metrics_exporter: str = ""
    dataflow: DataflowSettings | None = None
    mask_key: str = ""

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        project_id: str | None = None,
        instance_id: str | None = None,
        name: str | None = None,
        contract: Path | str | None = None,
    ) -> Settings:
        """Read the settings; an argument overrides its variable.

        Args:
            environment: the variables; those of the process by default.
            project_id: overrides `GCP_PROJECT_ID`.
            instance_id: overrides `BIGTABLE_INSTANCE`.
            name: overrides `SLUICE_NAME`.
            contract: overrides `SLUICE_CONTRACT`.

        Raises:
            SettingsError: a variable is missing or invalid.
        """
        env = os.environ if environment is None else environment
        return cls(
            project_id=_identifier("project_id", "GCP_PROJECT_ID", project_id, env),
            instance_id=_identifier("instance_id", "BIGTABLE_INSTANCE", instance_id, env),
            name=pipeline_name(name, env),
            contract=contract_path(contract, env),
            app_profile=env.get("BIGTABLE_APP_PROFILE", ""),
            bigtable_emulator=env.get("BIGTABLE_EMULATOR_HOST") or None,
            pubsub_emulator=env.get("PUBSUB_EMULATOR_HOST") or None,
            scheduler_emulator=env.get("CLOUD_SCHEDULER_EMULATOR_HOST") or None,
            storage_emulator=env.get("STORAGE_EMULATOR_HOST") or None,
            region=env.get("GCP_REGION") or "us-central1",
            store_deadline=_positive("SLUICE_STORE_DEADLINE", env, default=60.0, maximum=540.0),
            day_deadline=_positive("SLUICE_DAY_DEADLINE", env, default=None, maximum=3_600),
            load_deadline=_positive("SLUICE_LOAD_DEADLINE", env, default=480.0, maximum=3_600),
            load_range_bytes=math.ceil(_positive("SLUICE_LOAD_RANGE_BYTES", env, default=64 << 20, maximum=2**40)),
            cpu=_positive("SLUICE_CPU", env, default=None, maximum=1_000),
            summary_interval=_positive("SLUICE_SUMMARY_INTERVAL", env, default=5.0, maximum=60.0),
            lookback_days=math.ceil(_positive("SLUICE_LOOKBACK_DAYS", env, default=400, maximum=36_500)),
            metrics_exporter=env.get("OTEL_METRICS_EXPORTER", ""),
            dataflow=DataflowSettings.from_environment(env),
            mask_key=mask_key(env),
        )

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the settings that a representation shows: all but the secret."""
        return [(name, value) for name, value in structs.asdict(self).items() if name != "mask_key"]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def resource(self, resource: str) -> str:
        """Return the name of a topic, subscription, table, job or function of this pipeline.

        >>> Settings("p", "i", name="shop").resource("events")
        'shop-events'
        """
        return resource_name(self.name, resource)

    @property
    def emulators(self) -> dict[Service, str]:
        """The addresses of the emulators, by service."""
        addresses: dict[Service, str | None] = {
            "bigtable": self.bigtable_emulator,
            "pubsub": self.pubsub_emulator,
            "scheduler": self.scheduler_emulator,
        }
        return {service: address for service, address in addresses.items() if address}

    def emulated(self, *services: Service) -> bool:
        """Return whether the services are emulators (True) or Google Cloud (False).

        Args:
            services: services used together; by default Bigtable and Pub/Sub, and the scheduler if it is an emulator.

        Raises:
            SettingsError: some of the services are emulators and others are on Google Cloud.
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
    """Return the contract file: `given`, else `SLUICE_CONTRACT`, else the music contract."""
    env = os.environ if environment is None else environment
    return Path(given or env.get("SLUICE_CONTRACT") or DEFAULT_CONTRACT)


def mask_key(environment: Mapping[str, str] | None = None) -> str:
    """Return the secret of contracts with `mask = "hash"`, `SLUICE_MASK_KEY`; "" for none."""
    env = os.environ if environment is None else environment
    return env.get("SLUICE_MASK_KEY", "")


def pipeline_name(given: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Return the name of the pipeline: `given`, else `SLUICE_NAME`, else sluice; SettingsError if it is invalid."""
    env = os.environ if environment is None else environment
    return check_name(given if given is not None else env.get("SLUICE_NAME") or DEFAULT_NAME)


def _identifier(name: str, variable: str, given: str | None, env: Mapping[str, str]) -> str:
    value = given if given is not None else env.get(variable, "")
    if not value or "/" in value or value != value.strip():
        raise SettingsError(
            f"{variable} (or {name}=): found {value!r}, expected an identifier such as "
            f"{'my-project' if name == 'project_id' else 'my-instance'}"
        )
    return value


def _positive(variable: str, env: Mapping[str, str], *, default: _Default, maximum: float) -> float | _Default:
    text = env.get(variable, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= maximum:
        raise SettingsError(f"{variable}: found {text!r}, expected a number above 0 and up to {maximum:g}")
    return value
