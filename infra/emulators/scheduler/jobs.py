"""What a job has to be: its name, its target, its schedule, its retries, with the defaults of the API filled in."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import grpc
from google.cloud.scheduler_v1.types import Job
from google.protobuf.duration_pb2 import Duration

from infra.emulators.scheduler import retries
from infra.emulators.scheduler.cron import DEFAULT_ZONE, Cron, CronError
from infra.emulators.scheduler.errors import Refusal, invalid
from infra.emulators.scheduler.retries import Retries

# https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#Job
_PARENT = re.compile(r"projects/[A-Za-z0-9.:-]+/locations/[A-Za-z0-9-]+")
_NAME = re.compile(rf"({_PARENT.pattern})/jobs/([A-Za-z0-9_-]{{1,500}})")
_TOPIC = re.compile(r"projects/([A-Za-z0-9.:-]+)/topics/([A-Za-z][A-Za-z0-9._~+%-]{2,254})")
_MAX_DESCRIPTION_CHARS = 500
_LARGEST = 1024 * 1024
# Fields that a caller may set; the rest is the scheduler's to say.
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
    """Return the name of a place if it is one."""
    if not _PARENT.fullmatch(parent):
        raise invalid(f"parent: found {parent!r}, expected projects/PROJECT_ID/locations/LOCATION_ID")
    return parent


def check_name(name: str) -> str:
    """Return the name of a job if it is one."""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Job name must be formatted: projects/PROJECT_ID/locations/LOCATION_ID/jobs/JOB_ID; found {name!r}"
        )
    return name


def completed(job: Any) -> tuple[Any, Cron, Retries]:
    """Return a job as the API would keep it, with what follows from its schedule and its retries.

    Args:
        job: the plain protobuf message, with a name.

    Raises:
        Refusal: it isn't a job, or one that only Google's own scheduler can do.
    """
    made = Job.pb(Job())
    for field in SETTABLE:
        if field in ("description", "schedule", "time_zone"):
            setattr(made, field, getattr(job, field))
        elif job.HasField(field):
            getattr(made, field).CopyFrom(getattr(job, field))
    made.name = check_name(job.name)
    if len(made.description) > _MAX_DESCRIPTION_CHARS:
        raise invalid(
            f"description: found {len(made.description)} characters, expected {_MAX_DESCRIPTION_CHARS} at most"
        )
    if made.ByteSize() > _LARGEST:
        raise invalid(f"job: found {made.ByteSize()} bytes, expected {_LARGEST} at most")
    _check_target(made)
    made.time_zone = made.time_zone or DEFAULT_ZONE
    try:
        cron = Cron(made.schedule, made.time_zone)
    except CronError as error:
        raise invalid(f"Schedule or time zone is invalid. {error}") from None
    return made, cron, _retries(made)


def _check_target(job: Any) -> None:
    target = job.WhichOneof("target")
    if target is None:
        raise invalid("target: found none, expected a pubsub_target")
    if target != "pubsub_target":
        raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"found an {target}, expected a pubsub_target: the only one here")
    topic = _TOPIC.fullmatch(job.pubsub_target.topic_name)
    if topic is None:
        raise invalid(f"topic_name: found {job.pubsub_target.topic_name!r}, expected projects/PROJECT_ID/topics/TOPIC")
    project = job.name.split("/")[1]
    if topic[1] != project:
        raise invalid(f"topic_name: found a topic of project {topic[1]}, expected one of the job's own, {project}")
    if not job.pubsub_target.data and not job.pubsub_target.attributes:
        raise invalid("pubsub_target: found neither data nor attributes, expected at least one of them")


def _retries(job: Any) -> Retries:
    """Check the retries and fill in their defaults; in protobuf a zero can't be told from nothing."""
    config = job.retry_config
    if not 0 <= config.retry_count <= retries.MAX_RETRIES:
        raise invalid(f"retry_count: found {config.retry_count}, expected 0 to {retries.MAX_RETRIES}")
    if config.max_doublings < 0:
        raise invalid(f"max_doublings: found {config.max_doublings}, expected 0 or more")
    for field in ("max_retry_duration", "min_backoff_duration", "max_backoff_duration"):
        if _span(getattr(config, field), field) < timedelta():
            raise invalid(f"{field}: found {_span(getattr(config, field), field)}, expected no negative time")
    config.max_retry_duration.SetInParent()
    config.max_doublings = config.max_doublings or retries.DEFAULT_DOUBLINGS
    if not _span(config.min_backoff_duration, ""):
        config.min_backoff_duration.FromTimedelta(retries.DEFAULT_MIN_BACKOFF)
    if not _span(config.max_backoff_duration, ""):
        config.max_backoff_duration.FromTimedelta(retries.DEFAULT_MAX_BACKOFF)
    made = Retries(
        count=config.retry_count,
        longest=_span(config.max_retry_duration, ""),
        min_backoff=_span(config.min_backoff_duration, ""),
        max_backoff=_span(config.max_backoff_duration, ""),
        doublings=config.max_doublings,
    )
    if made.min_backoff > made.max_backoff:
        raise invalid(
            f"min_backoff_duration: found {made.min_backoff}, expected at most max_backoff_duration, {made.max_backoff}"
        )
    return made


def _span(value: Duration, field: str) -> timedelta:
    try:
        span: timedelta = value.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid(f"{field}: found {value.seconds} s, expected a duration") from None
    return span
