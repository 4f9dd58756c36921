"""The runners of Beam, and the flags that select them: the local runner, or Dataflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.config import EMULATOR_VARIABLES, Settings
from shared.errors import SettingsError

# Named in full: `DirectRunner` is another runner for some pipelines, and may download Prism.
_LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_WORKER_REQUIREMENTS = Path(__file__).with_name("worker-requirements.txt")


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """Beam's local runner.

    Attributes:
        workers: number of worker processes; one runs in the process of the driver.
    """

    workers: int = 1

    def flags(self, settings: Settings, job: str) -> list[str]:
        """Return the flags of a job."""
        mode = "in_memory" if self.workers == 1 else "multi_processing"
        return [f"--runner={_LOCAL_RUNNER}", f"--direct_running_mode={mode}", f"--direct_num_workers={self.workers}"]


@dataclass(frozen=True, slots=True)
class Dataflow:
    """Where Dataflow runs a job, and what its workers run.

    Attributes:
        staging: folder in Cloud Storage for the job's files, gs://BUCKET[/FOLDER].
        region: that of the settings without one.
        service_account: e-mail address of the workers' account; the default account of Compute Engine without one.
        image: worker image with the code of this project.
        packages: files that workers install instead, such as a wheel of this project.
        max_workers: largest number of workers; Dataflow's default without one.
    """

    staging: str
    region: str | None = None
    service_account: str | None = None
    image: str | None = None
    packages: Sequence[str] = ()
    max_workers: int | None = None

    def __post_init__(self) -> None:
        if not self.staging.startswith("gs://"):
            raise SettingsError(f"--staging: found {self.staging!r}, expected a folder such as gs://my-bucket/beam")
        if bool(self.image) == bool(self.packages):
            found = "both" if self.image else "neither"
            raise SettingsError(f"--image, --packages: found {found}, expected one, with the code of the workers")

    def flags(self, settings: Settings, job: str) -> list[str]:
        """Return the flags of a job; Dataflow refuses the name of a job that is running.

        Raises:
            SettingsError: the settings name an emulator, which no worker reaches.
        """
        if settings.bigtable_emulator:
            raise SettingsError(f"found {EMULATOR_VARIABLES['bigtable']}, expected no emulator with Dataflow")
        staging = self.staging.rstrip("/")
        flags = [
            "--runner=DataflowRunner",
            "--no_save_main_session",  # workers import the steps
            f"--project={settings.project_id}",
            f"--region={self.region or settings.region}",
        ]
        flags += [f"--staging_location={staging}/staging", f"--temp_location={staging}/temp"]
        flags.append(f"--job_name={settings.name}-{job}")
        if self.service_account:
            flags.append(f"--service_account_email={self.service_account}")
        if self.max_workers:
            flags.append(f"--max_num_workers={self.max_workers}")
        if self.image:
            return [*flags, f"--sdk_container_image={self.image}"]
        packages = [f"--extra_package={package}" for package in self.packages]
        return [*flags, *packages, f"--requirements_file={_WORKER_REQUIREMENTS}"]


Runner = LocalRunner | Dataflow
