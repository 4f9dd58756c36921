"""Jobs of Cloud Scheduler: make them, find out how they are, put them right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.scheduler_v1.types import UpdateJobRequest

from infra.provision.google_api import SCHEDULER, Caller
from infra.provision.plan import Change, FoundJob, plan_job
from infra.provision.resources import RESOURCES, Job, Resources
from infra.provision.scheduler_client import job_message, location, scheduler_client
from shared.config import Settings

# The field of Cloud Scheduler that an attribute of ours is part of.
_FIELDS = {
    "topic": "pubsub_target",
    "data": "pubsub_target",
    "attributes": "pubsub_target",
    "schedule": "schedule",
    "time_zone": "time_zone",
    "description": "description",
    "state": "schedule",  # an update brings back a job that Google disabled, or whose last update failed
    **dict.fromkeys(("retries", "retry_for", "minimum_backoff", "maximum_backoff", "doublings"), "retry_config"),
}


def provision_schedule(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Make the missing jobs; returns a line for each one made.

    What exists isn't looked at: it takes one call for each job.

    Raises:
        SettingsError: they may not be made.
        StoreUnavailableError: the scheduler doesn't answer.
    """
    with open_schedule(settings, resources) as schedule:
        changes = [change for job in resources.jobs for change in plan_job(job, None)]
        return [f"{change.title} {change.text}" for change in changes if schedule.make(change)]


@contextmanager
def open_schedule(settings: Settings, resources: Resources) -> Iterator[Schedule]:
    """Connect to Cloud Scheduler, Google's or the local one."""
    with scheduler_client(settings) as client:
        yield Schedule(settings, resources, client)


class Schedule:
    """The jobs of a project in one region.

    Attributes:
        notes: what `plan` left out, and why.
        client: Google's client.
    """

    def __init__(self, settings: Settings, resources: Resources, client: CloudSchedulerClient) -> None:
        self._settings = settings
        self._resources = resources
        self._caller = Caller(settings, SCHEDULER)
        self.client = client
        self.notes: list[str] = []

    def plan(self) -> list[Change]:
        """Look at what exists; returns what has to change."""
        return [change for job in self._resources.jobs for change in plan_job(job, self._job(job.name))]

    def make(self, change: Change) -> bool:
        """Make a job; returns False if it was there."""
        job = job_message(self._settings, _wanted(change))
        return self._caller.make(change.title, self.client.create_job, parent=location(self._settings), job=job)

    def apply(self, change: Change) -> None:
        """Do what a change says."""
        if change.action == "create":
            self.make(change)
            return
        job = job_message(self._settings, _wanted(change))
        mask = sorted({_FIELDS[key] for key in change.keys if key in _FIELDS})
        if mask:
            request = UpdateJobRequest(job=job, update_mask={"paths": mask})
            self._caller.do(change.title, self.client.update_job, request=request)
        if "paused" in change.keys:
            self._caller.do(change.title, self.client.resume_job, name=job.name)

    def _job(self, name: str) -> FoundJob | None:
        get = partial(self.client.get_job, name=f"{location(self._settings)}/jobs/{name}")
        message = self._caller.find(f"job {name}", get)
        if message is None:
            return None
        target, retry = message.pubsub_target, message.retry_config
        job = Job(
            name=name,
            # A job has one target; one without a topic calls something else.
            topic=target.topic_name.removeprefix(f"projects/{self._settings.project_id}/topics/") or "(none)",
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
        return FoundJob(job, message.state.name)


def _wanted(change: Change) -> Job:
    if not isinstance(change.wanted, Job):
        raise TypeError(change)
    return change.wanted
