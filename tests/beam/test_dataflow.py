"""Beam translates a job for Dataflow with the options of the command; no job is sent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from infra.beam.runners import Dataflow
from shared.config import Settings
from tests.support.samples import ROOT


def test_a_job_has_the_options_of_the_command(beam_python: Path) -> None:
    runner = Dataflow(
        "gs://my-bucket/sluice/",
        region="europe-west1",
        service_account="beam@my-project.iam.gserviceaccount.com",
        image="europe-docker.pkg.dev/my-project/sluice/beam:1",
        max_workers=7,
    )
    flags = runner.flags(Settings("my-project", "my-instance"), "aggregate-2024-01-15")

    completed = subprocess.run(
        [beam_python, "-m", "tests.beam.dataflow_job", *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert completed.returncode == 0, completed.stderr[-3_000:]
    found = json.loads(completed.stdout)
    job: dict[str, Any] = found["job"]
    (pool,) = job["environment"]["workerPools"]
    assert found["image"] == pool["workerHarnessContainerImage"] == runner.image
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 7
    assert job["name"] == "sluice-aggregate-2024-01-15"
    assert job["type"] == "JOB_TYPE_BATCH"
    assert job["environment"]["serviceAccountEmail"] == runner.service_account
    assert job["environment"]["tempStoragePrefix"].startswith("storage.googleapis.com/my-bucket/sluice/temp/")
    assert {"Divide", "Measure", "Merge", "Write", "Finish"} <= {name.split("/")[0] for name in found["steps"]}
    assert "pickled_main_session" not in {package["name"] for package in pool["packages"]}
