"""Client of Google's Cloud Scheduler or of its emulator, and the daily job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport
from google.cloud.scheduler_v1.types import Job, PubsubTarget, RetryConfig
from google.rpc import code_pb2

from infra.provision.google_api import SCHEDULER, is_transient, translate_errors
from infra.provision.resource_types import Job as DeclaredJob
from infra.provision.resources import RESOURCES
from shared.config import Settings
from shared.errors import SettingsError

(_DAILY,) = RESOURCES.jobs
JOB, TOPIC = _DAILY.name, _DAILY.topic

# By default, Google's client retries an unreachable scheduler for ten minutes.
_TIMEOUT = 10.0
_CALL: dict[str, Any] = {"timeout": _TIMEOUT, "retry": Retry(is_transient, timeout=_TIMEOUT)}
# Seconds to wait for the result of a run, and between two polls of it.
_MAX_WAIT = 10.0
_POLL_INTERVAL = 0.05


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job as the scheduler has it.

    Attributes:
        job: its schedule, target and retries, in the terms of the declaration.
        state: the name of its state, such as ENABLED or PAUSED.
        next_run: when it runs next, or retries; None if it doesn't.
        last_attempt: the start of the last attempt; None without one.
        status: the result of the last attempt; "" without one, or while it runs.
    """

    job: DeclaredJob
    state: str
    next_run: datetime | None
    last_attempt: datetime | None
    status: str


@contextmanager
def scheduler_client(settings: Settings) -> Iterator[CloudSchedulerClient]:
    """Connect to the scheduler of the settings.

    Raises:
        SettingsError: there are no credentials of Google Cloud.
    """
    if settings.scheduler_emulator:
        with grpc.insecure_channel(settings.scheduler_emulator) as channel:
            yield CloudSchedulerClient(transport=CloudSchedulerGrpcTransport(channel=channel))
        return
    with translate_errors("Cloud Scheduler", settings, SCHEDULER):
        client = CloudSchedulerClient()
    with client:
        yield client


def location(settings: Settings) -> str:
    """Return the full name of the location that holds the jobs."""
    return f"projects/{settings.project_id}/locations/{settings.region}"


def job_message(settings: Settings, wanted: DeclaredJob) -> Job:
    """Convert a declared job to Cloud Scheduler's message."""
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


def job_of_message(settings: Settings, message: Job) -> DeclaredJob:
    """Convert Cloud Scheduler's message to the terms of the declaration."""
    target, retry = message.pubsub_target, message.retry_config
    return DeclaredJob(
        name=message.name.rpartition("/")[2],
        # A job has exactly one target; without a topic it is an HTTP or App Engine target.
        topic=target.topic_name.removeprefix(f"projects/{settings.project_id}/topics/") or "(none)",
        schedule=message.schedule,
        data=target.data,
        time_zone=message.time_zone,
        retries=retry.retry_count,
        retry_for=retry.max_retry_duration or timedelta(0),
        minimum_backoff=retry.min_backoff_duration or timedelta(0),
        maximum_backoff=retry.max_backoff_duration or timedelta(0),
        doublings=retry.max_doublings,
        description=message.description,
        attributes=dict(target.attributes),
    )


def find_job(settings: Settings, job: str = JOB) -> ScheduledJob | None:
    """Return a declared job as the scheduler has it; None if it doesn't exist.

    Raises:
        SettingsError: the caller lacks permission.
        StoreUnavailableError: the scheduler doesn't answer.
    """
    name = f"{location(settings)}/jobs/{settings.resource(job)}"
    with scheduler_client(settings) as client, translate_errors(f"job {name}", settings, SCHEDULER):
        try:
            message = client.get_job(name=name, **_CALL)
        except exceptions.NotFound:
            return None
    return ScheduledJob(
        job=job_of_message(settings, message),
        state=message.state.name,
        next_run=message.schedule_time,
        last_attempt=message.last_attempt_time,
        status=_status(message),
    )


def _status(message: Job) -> str:
    if "status" not in message:
        return ""
    names = {number: name for name, number in code_pb2.Code.items()}
    name = names.get(message.status.code, f"code {message.status.code}")
    return f"{name}: {message.status.message}" if message.status.message else name


def run_job(settings: Settings, job: str = JOB) -> bool:
    """Run a declared job now, regardless of its schedule.

    Returns:
        Whether the job published its message; False if its status is still unknown after ten seconds.

    Raises:
        SettingsError: the job doesn't exist, the caller lacks permission, or the job can't publish.
        StoreUnavailableError: the scheduler doesn't answer.
    """
    name = f"{location(settings)}/jobs/{settings.resource(job)}"
    with scheduler_client(settings) as client, translate_errors(f"job {name}", settings, SCHEDULER):
        try:
            before = client.get_job(name=name, **_CALL).last_attempt_time
            client.run_job(name=name, **_CALL)
        except exceptions.NotFound:
            message = f"job {name}: found none, expected it to exist; `sluice provision` makes it"
            raise SettingsError(message) from None
        # RunJob returns before the attempt.
        deadline = time.monotonic() + _MAX_WAIT
        while time.monotonic() < deadline:
            current = client.get_job(name=name, **_CALL)
            if current.last_attempt_time != before and "status" in current:
                if current.status.code:
                    raise SettingsError(f"job {name}: can't publish: {current.status.message}")
                return True
            time.sleep(_POLL_INTERVAL)
    return False
