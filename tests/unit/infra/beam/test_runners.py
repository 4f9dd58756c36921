"""The flags of Beam for each runner, and the errors of settings that no job could have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from infra.beam import driver_process
from infra.beam.runners import Dataflow, LocalRunner
from shared.config import Settings
from shared.errors import MissingProgramError, SettingsError

SETTINGS = Settings("my-project", "my-instance", name="shop", region="europe-west1")


@pytest.mark.parametrize(("workers", "mode"), [(1, "in_memory"), (4, "multi_processing")])
def test_the_local_runner_has_as_many_worker_processes(workers: int, mode: str) -> None:
    assert LocalRunner(workers).flags(SETTINGS, "aggregate") == [
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        f"--direct_running_mode={mode}",
        f"--direct_num_workers={workers}",
    ]


def test_dataflow_runs_in_the_region_of_the_settings_with_a_job_of_the_pipeline() -> None:
    flags = Dataflow("gs://my-bucket", image="image:1").flags(SETTINGS, "aggregate-2024-01-15")

    assert flags == [
        "--runner=DataflowRunner",
        "--no_save_main_session",
        "--project=my-project",
        "--region=europe-west1",
        "--staging_location=gs://my-bucket/staging",
        "--temp_location=gs://my-bucket/temp",
        "--job_name=shop-aggregate-2024-01-15",
        "--sdk_container_image=image:1",
    ]


def test_packages_are_installed_with_what_beams_image_lacks() -> None:
    flags = Dataflow("gs://my-bucket/x", packages=("a.whl", "b.whl")).flags(SETTINGS, "aggregate")

    assert [each for each in flags if "package" in each] == ["--extra_package=a.whl", "--extra_package=b.whl"]
    (requirements,) = [each for each in flags if each.startswith("--requirements_file=")]
    assert "msgspec==" in Path(requirements.partition("=")[2]).read_text()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"staging": "my-bucket", "image": "i"}, "--staging: found 'my-bucket', expected a folder such as gs://"),
        ({"staging": "gs://b"}, "--image, --packages: found neither, expected one"),
        ({"staging": "gs://b", "image": "i", "packages": ("p",)}, "--image, --packages: found both, expected one"),
    ],
)
def test_options_of_dataflow_that_no_job_could_have_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        Dataflow(**options)


def test_dataflow_refuses_an_emulator() -> None:
    settings = replace(SETTINGS, bigtable_emulator="localhost:8086")

    with pytest.raises(SettingsError, match="found BIGTABLE_EMULATOR_HOST, expected no emulator with Dataflow"):
        Dataflow("gs://b", image="i").flags(settings, "aggregate")


def test_a_missing_environment_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(driver_process, "PYTHON", tmp_path / "python")

    with pytest.raises(MissingProgramError, match="found no environment of Apache Beam, expected one; run `make beam`"):
        list(driver_process.results("aggregate", [], SETTINGS))
