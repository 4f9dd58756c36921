"""Jobs of Cloud Scheduler: create, compare, update, delete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.scheduler_v1.types import UpdateJobRequest

from infra.provision import marks
from infra.provision.google_api import SCHEDULER, Caller
from infra.provision.plan import Change, ExistingJob, plan_job, plan_owned
from infra.provision.resource_types import Job
from infra.provision.resources import ALL_RESOURCES, RESOURCES, Resources
from infra.provision.scheduler_client import job_message, job_of_message, location, scheduler_client
from shared.config import Settings

# The field of Cloud Scheduler that holds each attribute of a declared job.
_FIELDS = {
    "topic": "pubsub_target",
    "data": "pubsub_target",
    "attributes": "pubsub_target",
    "schedule": "schedule",
    "time_zone": "time_zone",
    "description": "description",
    "state": "schedule",  # any update enables a job that Google disabled, or whose last update failed
    **dict.fromkeys(("retries", "retry_for", "minimum_backoff", "maximum_backoff", "doublings"), "retry_config"),
}


def provision_schedule(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Create the missing jobs; returns a line for each job created.

    Existing jobs aren't compared, so each job takes one call.

    Raises:
        SettingsError: the caller lacks permission.
        StoreUnavailableError: the scheduler doesn't answer.
    """
    with open_schedule(settings, resources) as schedule:
        changes = [change for job in schedule.resources.jobs for change in plan_job(job, None)]
        return [f"{change.title} {change.text}" for change in changes if schedule.create(change)]


@contextmanager
def open_schedule(settings: Settings, resources: Resources) -> Iterator[Schedule]:
    """Connect to Google's Cloud Scheduler or to the emulator."""
    with scheduler_client(settings) as client:
        yield Schedule(settings, resources, client)


class Schedule:
    """The jobs of a project in one region.

    Attributes:
        resources: the declared resources, under the names of the pipeline.
        notes: what `plan` skipped, and why.
        client: Google's client.
    """

    def __init__(self, settings: Settings, resources: Resources, client: CloudSchedulerClient) -> None:
        self._settings = settings
        self.resources = resources.named(settings.name)
        self._caller = Caller(settings, SCHEDULER)
        self.client = client
        self.notes: list[str] = []

    def plan(self, *, adopt: bool = False) -> list[Change]:
        """Read the existing jobs and return the changes they need; `adopt` marks unmarked ones.

        An optional job that isn't declared any more is deleted if it has the mark of the pipeline.
        """
        changes = []
        for job in self.resources.jobs:
            existing = self._job(job.name)
            planned = plan_job(job, existing)
            if existing is None:
                changes += planned
                continue
            found = marks.owner_in_text(existing.job.description)
            owner = self._settings.name
            changes += plan_owned("job", job.name, planned, owner=owner, found=found, adopt=adopt)
        declared = {job.name for job in self.resources.jobs}
        for job in ALL_RESOURCES.named(self._settings.name).jobs:
            existing = self._job(job.name) if job.name not in declared else None
            if existing and marks.owner_in_text(existing.job.description) == self._settings.name:
                changes.append(Change("drop", "job", job.name, text="isn't declared"))
        return changes

    def create(self, change: Change) -> bool:
        """Create a job; returns False if it exists."""
        job = job_message(self._settings, _declared_job(change))
        return self._caller.create(change.title, self.client.create_job, parent=location(self._settings), job=job)

    def apply(self, change: Change) -> None:
        """Apply a change."""
        if change.action == "adopt":
            return  # the description has the mark, and its change comes next
        if change.action == "create":
            self.create(change)
            return
        if change.action == "drop":
            name = f"{location(self._settings)}/jobs/{change.name}"
            self._caller.delete(change.title, self.client.delete_job, name=name)
            return
        job = job_message(self._settings, _declared_job(change))
        mask = sorted({_FIELDS[key] for key in change.keys if key in _FIELDS})
        if mask:
            request = UpdateJobRequest(job=job, update_mask={"paths": mask})
            self._caller.call(change.title, self.client.update_job, request=request)
        if "paused" in change.keys:
            self._caller.call(change.title, self.client.resume_job, name=job.name)

    def _job(self, name: str) -> ExistingJob | None:
        get = partial(self.client.get_job, name=f"{location(self._settings)}/jobs/{name}")
        message = self._caller.find(f"job {name}", get)
        if message is None:
            return None
        return ExistingJob(job_of_message(self._settings, message), message.state.name)


def _declared_job(change: Change) -> Job:
    if not isinstance(change.wanted, Job):
        raise TypeError(change)
    return change.wanted
