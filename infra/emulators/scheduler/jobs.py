"""Validation of jobs: name, target, schedule and retries, with the defaults of the API."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from infra.emulators.errors import ApiError, invalid
from infra.emulators.protos.scheduler_pb2 import Job
from infra.emulators.scheduler import retries
from infra.emulators.scheduler.cron import DEFAULT_ZONE, Cron, CronError
from infra.emulators.scheduler.http_targets import complete_http_target
from infra.emulators.scheduler.retries import Retries

# https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#Job
_PARENT = re.compile(r"projects/[A-Za-z0-9.:-]+/locations/[A-Za-z0-9-]+")
_NAME = re.compile(rf"({_PARENT.pattern})/jobs/([A-Za-z0-9_-]{{1,500}})")
_TOPIC = re.compile(r"projects/([A-Za-z0-9.:-]+)/topics/([A-Za-z][A-Za-z0-9._~+%-]{2,254})")
_MAX_DESCRIPTION_CHARS = 500
_MAX_JOB_BYTES = 1024 * 1024
_ATTEMPT_DEADLINE = (timedelta(seconds=15), timedelta(minutes=30))
_DEFAULT_ATTEMPT_DEADLINE = timedelta(minutes=3)
# The fields that a caller may set; all others are output only.
SETTABLE = (
    "description",
    "pubsub_target",
    "app_engine_http_target",
    "http_target",
    "schedule",
    "time_zone",
    "retry_config",
    "attempt_deadline",
)


def check_parent(parent: str) -> str:
    """Return the name of a location; raises ApiError if it is invalid."""
    if not _PARENT.fullmatch(parent):
        raise invalid(f"parent: found {parent!r}, expected projects/PROJECT_ID/locations/LOCATION_ID")
    return parent


def check_name(name: str) -> str:
    """Return the name of a job; raises ApiError if it is invalid."""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Job name must be formatted: projects/PROJECT_ID/locations/LOCATION_ID/jobs/JOB_ID; found {name!r}"
        )
    return name


def complete_job(job: Any) -> tuple[Any, Cron, Retries]:
    """Return a job as the API stores it, with its parsed schedule and retries.

    Args:
        job: the protobuf message, with a name.

    Raises:
        ApiError: the job is invalid, or the emulator doesn't support it.
    """
    complete = Job()
    for field in SETTABLE:
        if field in ("description", "schedule", "time_zone"):
            setattr(complete, field, getattr(job, field))
        elif job.HasField(field):
            complete.MergeFrom(Job(**{field: getattr(job, field)}))
    complete.name = check_name(job.name)
    if len(complete.description) > _MAX_DESCRIPTION_CHARS:
        raise invalid(
            f"description: found {len(complete.description)} characters, expected {_MAX_DESCRIPTION_CHARS} at most"
        )
    if complete.ByteSize() > _MAX_JOB_BYTES:
        raise invalid(f"job: found {complete.ByteSize()} bytes, expected {_MAX_JOB_BYTES} at most")
    _check_target(complete)
    complete.time_zone = complete.time_zone or DEFAULT_ZONE
    try:
        cron = Cron(complete.schedule, complete.time_zone)
    except CronError as error:
        raise invalid(f"Schedule or time zone is invalid. {error}") from None
    return complete, cron, _retries(complete)


def _check_target(job: Any) -> None:
    target = job.WhichOneof("target")
    if target is None:
        raise invalid("target: found none, expected a pubsub_target or an http_target")
    if target == "app_engine_http_target":
        text = f"found an {target}, expected a pubsub_target or an http_target"
        raise ApiError(grpc.StatusCode.UNIMPLEMENTED, text)
    if target == "http_target":
        complete_http_target(job.http_target)
        _complete_attempt_deadline(job)
        return
    topic = _TOPIC.fullmatch(job.pubsub_target.topic_name)
    if topic is None:
        raise invalid(f"topic_name: found {job.pubsub_target.topic_name!r}, expected projects/PROJECT_ID/topics/TOPIC")
    project = job.name.split("/")[1]
    if topic[1] != project:
        raise invalid(f"topic_name: found a topic of project {topic[1]}, expected one of the job's project, {project}")
    if not job.pubsub_target.data and not job.pubsub_target.attributes:
        raise invalid("pubsub_target: found neither data nor attributes, expected at least one of them")


def _complete_attempt_deadline(job: Any) -> None:
    if not job.HasField("attempt_deadline"):
        job.attempt_deadline.FromTimedelta(_DEFAULT_ATTEMPT_DEADLINE)
    deadline = _duration(job.attempt_deadline, "attempt_deadline")
    least, most = _ATTEMPT_DEADLINE
    if not least <= deadline <= most:
        raise invalid(f"attempt_deadline: found {deadline}, expected {least} to {most}")


def _retries(job: Any) -> Retries:
    """Check the retries and set their defaults; protobuf doesn't distinguish a zero from a missing value."""
    config = job.retry_config
    if not 0 <= config.retry_count <= retries.MAX_RETRIES:
        raise invalid(f"retry_count: found {config.retry_count}, expected 0 to {retries.MAX_RETRIES}")
    if config.max_doublings < 0:
        raise invalid(f"max_doublings: found {config.max_doublings}, expected 0 or more")
    for field in ("max_retry_duration", "min_backoff_duration", "max_backoff_duration"):
        duration = _duration(getattr(config, field), field)
        if duration < timedelta():
            raise invalid(f"{field}: found {duration}, expected a duration of zero or more")
    config.max_retry_duration.SetInParent()
    config.max_doublings = config.max_doublings or retries.DEFAULT_DOUBLINGS
    if not _duration(config.min_backoff_duration, ""):
        config.min_backoff_duration.FromTimedelta(retries.DEFAULT_MIN_BACKOFF)
    if not _duration(config.max_backoff_duration, ""):
        config.max_backoff_duration.FromTimedelta(retries.DEFAULT_MAX_BACKOFF)
    parsed = Retries(
        max_retries=config.retry_count,
        max_duration=_duration(config.max_retry_duration, ""),
        min_backoff=_duration(config.min_backoff_duration, ""),
        max_backoff=_duration(config.max_backoff_duration, ""),
        max_doublings=config.max_doublings,
    )
    if parsed.min_backoff > parsed.max_backoff:
        expected = f"at most max_backoff_duration, {parsed.max_backoff}"
        raise invalid(f"min_backoff_duration: found {parsed.min_backoff}, expected {expected}")
    return parsed


def _duration(value: Duration, field: str) -> timedelta:
    try:
        duration: timedelta = value.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid(f"{field}: found {value.seconds} s, expected a duration") from None
    return duration
