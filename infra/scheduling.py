"""The way to Cloud Scheduler, the local one or Google's by the same client, and the job that asks for each day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport
from google.cloud.scheduler_v1.types import Job, PubsubTarget, RetryConfig

from shared.config import Settings
from shared.errors import SettingsError, StoreUnavailableError

JOB = "aggregate-daily"
TOPIC = "aggregate-requests"
# An hour after midnight UTC: clocks of producers that are behind and messages that were delivered late are in by then,
# and what still comes later marks its day.
SCHEDULE = "0 1 * * *"
TIME_ZONE = "Etc/UTC"

_TIMEOUT = 30.0


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
    try:
        client = CloudSchedulerClient()
    except GoogleAuthError as error:
        raise SettingsError(f"credentials of Google Cloud: {error}") from None
    with client:
        yield client


def location(settings: Settings) -> str:
    """Return the full name of the place where jobs are."""
    return f"projects/{settings.project_id}/locations/{settings.region}"


def daily_job(settings: Settings) -> Job:
    """Return the job that asks for yesterday, late days and missed days: an empty message, each night."""
    return Job(
        name=f"{location(settings)}/jobs/{JOB}",
        description="Ask for the figures of yesterday, of late days and of days that were missed.",
        # Pub/Sub refuses a message with neither data nor attributes, so the request for "what is due" is an object
        # without keys.
        pubsub_target=PubsubTarget(topic_name=f"projects/{settings.project_id}/topics/{TOPIC}", data=b"{}"),
        schedule=SCHEDULE,
        time_zone=TIME_ZONE,
        retry_config=RetryConfig(retry_count=5),  # the most there is; publishing twice does no harm
    )


def ensure_daily_job(settings: Settings) -> bool:
    """Make the daily job if there is none; returns whether it was made.

    Raises:
        SettingsError: it may not be made.
        StoreUnavailableError: the scheduler doesn't answer.
    """
    with scheduler_client(settings) as client, telling(f"job {JOB}"):
        try:
            client.create_job(parent=location(settings), job=daily_job(settings), timeout=_TIMEOUT)
        except exceptions.AlreadyExists:
            return False
    return True


def run_job(settings: Settings, job: str = JOB) -> Job:
    """Run a job now, whatever its schedule says.

    Raises:
        SettingsError: there is no such job, or it may not be run.
        StoreUnavailableError: the scheduler doesn't answer.
    """
    name = f"{location(settings)}/jobs/{job}"
    with scheduler_client(settings) as client, telling(f"job {name}"):
        try:
            return client.run_job(name=name, timeout=_TIMEOUT)
        except exceptions.NotFound:
            raise SettingsError(f"job {name}: found none, expected it to exist; `sluice provision` makes it") from None


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn errors of the client into ours, which name the thing they are about."""
    try:
        yield
    except (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.RetryError) as error:
        raise StoreUnavailableError(f"{what}: Cloud Scheduler doesn't answer: {error.message}") from None
    except exceptions.GoogleAPICallError as error:
        raise SettingsError(f"{what}: {error.message}") from None
