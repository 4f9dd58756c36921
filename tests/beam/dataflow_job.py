"""Translate a job for Dataflow without sending it: `python -m tests.beam.dataflow_job FLAGS`, in Beam's environment.

Prints as JSON the names of the steps, the image, and the job that Dataflow would get.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import apache_beam as beam
import google.auth
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient
from google.auth.credentials import AnonymousCredentials

from infra.beam.aggregate_pipeline import build
from infra.beam.steps import Days
from shared.aggregate.pipeline import ClaimedRun
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract

DAY = date(2024, 1, 15)


def main(flags: list[str]) -> None:
    # Beam asks for credentials although it sends nothing.
    google.auth.default = lambda **_options: (AnonymousCredentials(), "p")
    now = datetime.now(UTC)
    runs = {str(DAY): ClaimedRun(DAY, now, now, now, ())}
    pipeline = beam.Pipeline(options=PipelineOptions([*flags, "--dry_run=true", "--no_auth"]))
    build(pipeline, Days(Settings("p", "i"), load_contract(DEFAULT_CONTRACT), runs))
    job = pipeline.run().job
    (environment,) = job.proto_pipeline.components.environments.values()
    client = DataflowApplicationClient(job.options, job.root_staging_location)
    client.stage_file_with_retry = lambda *_arguments, **_options: None
    client.create_job_description(job)
    described = json.loads(job.json())
    print(
        json.dumps(
            {
                "steps": [each.unique_name for each in job.proto_pipeline.components.transforms.values()],
                "image": beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image,
                "job": described,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
