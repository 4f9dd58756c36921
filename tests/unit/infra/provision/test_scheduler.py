"""Jobs are read as they are, and a change is made by the calls that it takes and no others."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.scheduler_v1.types import HttpTarget, Job

from infra.provision.resources import RESOURCES
from infra.provision.scheduler import Schedule
from infra.provision.scheduler_client import job_message
from shared.config import Settings

SETTINGS = Settings("p", "i", region="europe-west1")
(DECLARED,) = RESOURCES.jobs
NAME = "projects/p/locations/europe-west1/jobs/aggregate-daily"


class Cloud:
    """What Cloud Scheduler answers, and what was asked of it."""

    def __init__(self, job: Job | None) -> None:
        self.job = job
        self.asked: list[Any] = []

    def get_job(self, *, name: str, **_: Any) -> Job:
        if self.job is None:
            raise exceptions.NotFound("Requested entity was not found.")
        assert name == NAME
        return self.job

    def create_job(self, *, parent: str, job: Job, **_: Any) -> None:
        self.asked.append(("create", parent, job.name))

    def update_job(self, *, request: Any, **_: Any) -> None:
        self.asked.append(("update", list(request.update_mask.paths), request.job == job_message(SETTINGS, DECLARED)))

    def resume_job(self, *, name: str, **_: Any) -> None:
        self.asked.append(("resume", name))


def asked_for(job: Job | None) -> tuple[list[str], list[Any]]:
    cloud = Cloud(job)
    schedule = Schedule(SETTINGS, RESOURCES, cloud)
    changes = schedule.plan()
    for change in changes:
        schedule.apply(change)
    return [change.line() for change in changes], cloud.asked


def altered(**different: Any) -> Job:
    job = job_message(SETTINGS, DECLARED)
    job.state = Job.State.ENABLED
    for key, value in different.items():
        setattr(job, key, value)
    return job


def test_a_job_as_declared_is_left_alone() -> None:
    assert asked_for(altered()) == ([], [])


def test_a_missing_job_is_made() -> None:
    assert asked_for(None)[1] == [("create", "projects/p/locations/europe-west1", NAME)]


def test_only_what_differs_is_in_the_mask() -> None:
    lines, asked = asked_for(altered(schedule="@daily", time_zone="Europe/Berlin"))

    assert lines == ["~ job aggregate-daily: schedule: @daily → 0 1 * * *, time zone: Europe/Berlin → Etc/UTC"]
    assert asked == [("update", ["schedule", "time_zone"], True)]


def test_a_job_that_calls_something_else_gets_its_topic_back() -> None:
    lines, asked = asked_for(altered(http_target=HttpTarget(uri="https://example.com")))

    assert lines == ["~ job aggregate-daily: topic: (none) → aggregate-requests, data: '' → '{}'"]
    assert asked == [("update", ["pubsub_target"], True)]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (Job.State.PAUSED, [("resume", NAME)]),
        (Job.State.UPDATE_FAILED, [("update", ["schedule"], True)]),
        (Job.State.DISABLED, [("update", ["schedule"], True)]),
    ],
)
def test_a_job_that_doesnt_run_is_set_going(state: Job.State, expected: list[Any]) -> None:
    assert asked_for(altered(state=state))[1] == expected


def test_a_paused_job_with_another_schedule_gets_both() -> None:
    job = altered(schedule="@daily", state=Job.State.PAUSED)

    assert asked_for(job)[1] == [("update", ["schedule"], True), ("resume", NAME)]
