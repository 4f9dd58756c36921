"""The way to Cloud Scheduler, the local one or Google's by the same client, and the job that asks for each day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport
from google.cloud.scheduler_v1.types import Job, PubsubTarget, RetryConfig

from infra.provision.google_api import SCHEDULER, explaining, is_transient
from infra.provision.resources import RESOURCES
from infra.provision.resources import Job as DeclaredJob
from shared.config import Settings
from shared.errors import SettingsError

(_DAILY,) = RESOURCES.jobs
JOB, TOPIC = _DAILY.name, _DAILY.topic

# Google's client by itself tries for ten minutes to reach a scheduler that isn't there.
_TIMEOUT = 10.0
_CALL: dict[str, Any] = {"timeout": _TIMEOUT, "retry": Retry(is_transient, timeout=_TIMEOUT)}
_PATIENCE = 10.0
_POLL = 0.05


@contextmanager
def scheduler_client(settings: Settings) -> Iterator[CloudSchedulerClient]:
    """Connect to the scheduler of the settings for the time of a `with` block.

    Raises:
        SettingsError: there are no credentials of Google Cloud.
    """
    if settings.scheduler_emulator:
        with grpc.insecure_channel(settings.scheduler_emulator) as channel:
            yield CloudSchedulerClient(transport=CloudSchedulerGrpcTransport(channel=channel))
        return
    with explaining("Cloud Scheduler", settings, SCHEDULER):
        client = CloudSchedulerClient()
    with client:
        yield client


def location(settings: Settings) -> str:
    """Return the full name of the place where jobs are."""
    return f"projects/{settings.project_id}/locations/{settings.region}"


def daily_job(settings: Settings) -> Job:
    """Return the job that asks for yesterday, late days and missed days: an empty message, each night."""
    return job_message(settings, _DAILY)


def job_message(settings: Settings, wanted: DeclaredJob) -> Job:
    """Return a job as Cloud Scheduler takes it."""
    return Job(
        name=f"{location(settings)}/jobs/{wanted.name}",
        description=wanted.description,
        schedule=wanted.schedule,
        time_zone=wanted.time_zone,
        pubsub_target=PubsubTarget(
            topic_name=f"projects/{settings.project_id}/topics/{wanted.topic}",
            data=wanted.data,
            attributes=wanted.attributes,
        ),
        retry_config=RetryConfig(
            retry_count=wanted.retries,
            max_retry_duration=wanted.retry_for,
            min_backoff_duration=wanted.minimum_backoff,
            max_backoff_duration=wanted.maximum_backoff,
            max_doublings=wanted.doublings,
        ),
    )


def run_job(settings: Settings, job: str = JOB) -> bool:
    """Run a job now, whatever its schedule says.

    Returns:
        Whether its message was published; False if nothing was heard of that in a few seconds.

    Raises:
        SettingsError: there is no such job, it may not be run, or it can't publish.
        StoreUnavailableError: the scheduler doesn't answer.
    """
    name = f"{location(settings)}/jobs/{job}"
    with scheduler_client(settings) as client, explaining(f"job {name}", settings, SCHEDULER):
        try:
            before = client.get_job(name=name, **_CALL).last_attempt_time
            client.run_job(name=name, **_CALL)
        except exceptions.NotFound:
            raise SettingsError(f"job {name}: found none, expected it to exist; `sluice provision` makes it") from None
        # The answer to RunJob doesn't wait for the attempt.
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            found = client.get_job(name=name, **_CALL)
            if found.last_attempt_time != before and "status" in found:
                if found.status.code:
                    raise SettingsError(f"job {name}: can't publish: {found.status.message}")
                return True
            time.sleep(_POLL)
    return False
