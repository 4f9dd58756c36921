"""Jobs are compared, and a change makes only the necessary calls."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.scheduler_v1.types import HttpTarget, Job
from pytest_mock import MockerFixture

from infra.emulators.scheduler.cron import Cron
from infra.provision.resources import INTERVALS, RESOURCES, Resources
from infra.provision.scheduler import Schedule
from infra.provision.scheduler_client import find_job, job_message
from shared.config import Settings

SETTINGS = Settings("p", "i", region="europe-west1")
(DECLARED,) = RESOURCES.named(SETTINGS.name).jobs
NAME = "projects/p/locations/europe-west1/jobs/aggregate-daily"
INTRADAY_NAME = "projects/p/locations/europe-west1/jobs/aggregate-intraday"
INTRADAY = RESOURCES.with_intraday(15)


class Cloud:
    """A fake Cloud Scheduler with the daily job and the intraday job, which records changes."""

    def __init__(self, job: Job | None, intraday: Job | None = None) -> None:
        self.jobs = {NAME: job, INTRADAY_NAME: intraday}
        self.calls: list[Any] = []

    def get_job(self, *, name: str, **_: Any) -> Job:
        job = self.jobs[name]
        if job is None:
            raise exceptions.NotFound("Requested entity was not found.")
        return job

    def create_job(self, *, parent: str, job: Job, **_: Any) -> None:
        self.calls.append(("create", parent, job.name))

    def update_job(self, *, request: Any, **_: Any) -> None:
        self.calls.append(("update", list(request.update_mask.paths), request.job == job_message(SETTINGS, DECLARED)))

    def delete_job(self, *, name: str, **_: Any) -> None:
        self.calls.append(("delete", name))

    def resume_job(self, *, name: str, **_: Any) -> None:
        self.calls.append(("resume", name))


def plan_and_apply(
    job: Job | None, *, adopt: bool = False, intraday: Job | None = None, resources: Resources = RESOURCES
) -> tuple[list[str], list[Any]]:
    cloud = Cloud(job, intraday)
    schedule = Schedule(SETTINGS, resources, cloud)
    changes = schedule.plan(adopt=adopt)
    for change in changes:
        if not change.refusal(adopt=adopt):
            schedule.apply(change)
    return [change.line(adopt=adopt) for change in changes], cloud.calls


def altered(**different: Any) -> Job:
    job = job_message(SETTINGS, DECLARED)
    job.state = Job.State.ENABLED
    for key, value in different.items():
        setattr(job, key, value)
    return job


def test_a_job_as_declared_needs_no_call() -> None:
    assert plan_and_apply(altered()) == ([], [])


def test_a_missing_job_is_created() -> None:
    assert plan_and_apply(None)[1] == [("create", "projects/p/locations/europe-west1", NAME)]


def test_the_mask_contains_only_differing_fields() -> None:
    lines, calls = plan_and_apply(altered(schedule="@daily", time_zone="Europe/Berlin"))

    assert lines == ["~ job aggregate-daily: schedule: @daily → 0 1 * * *, time zone: Europe/Berlin → Etc/UTC"]
    assert calls == [("update", ["schedule", "time_zone"], True)]


def test_a_job_with_another_target_gets_its_topic_back() -> None:
    lines, calls = plan_and_apply(altered(http_target=HttpTarget(uri="https://example.com")))

    assert lines == ["~ job aggregate-daily: topic: (none) → aggregate-requests, data: '' → '{}'"]
    assert calls == [("update", ["pubsub_target"], True)]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (Job.State.PAUSED, [("resume", NAME)]),
        (Job.State.UPDATE_FAILED, [("update", ["schedule"], True)]),
        (Job.State.DISABLED, [("update", ["schedule"], True)]),
    ],
)
def test_a_job_that_is_not_enabled_is_enabled(state: Job.State, expected: list[Any]) -> None:
    assert plan_and_apply(altered(state=state))[1] == expected


def test_a_paused_job_with_another_schedule_is_updated_and_resumed() -> None:
    job = altered(schedule="@daily", state=Job.State.PAUSED)

    assert plan_and_apply(job)[1] == [("update", ["schedule"], True), ("resume", NAME)]


def test_a_job_without_the_mark_is_refused() -> None:
    lines, calls = plan_and_apply(altered(description="mine", schedule="0 4 * * *"))

    refusal = "refused without --adopt: it may belong to other software"
    assert lines == [f"! job aggregate-daily: found no mark, expected sluice=sluice; {refusal}"]
    assert calls == []


def test_an_adopted_job_gets_the_mark_and_the_declared_properties() -> None:
    lines, calls = plan_and_apply(altered(description="mine", schedule="0 4 * * *"), adopt=True)

    assert lines == [
        "~ job aggregate-daily: found no mark, expected sluice=sluice",
        f"~ job aggregate-daily: schedule: 0 4 * * * → 0 1 * * *, description: mine → {DECLARED.description}",
    ]
    assert calls == [("update", ["description", "schedule"], True)]


def test_a_job_of_another_pipeline_is_refused_even_with_adopt() -> None:
    lines, calls = plan_and_apply(altered(description="Daily (sluice=other)"), adopt=True)

    belongs = "refused: it belongs to another pipeline"
    assert lines == [f"! job aggregate-daily: found the mark sluice=other, expected sluice=sluice; {belongs}"]
    assert calls == []


def intraday_job(minutes: int = 15, owner: str = "sluice") -> Job:
    [_, declared] = RESOURCES.with_intraday(minutes).named(owner).jobs
    job = job_message(SETTINGS, replace(declared, name="aggregate-intraday"))
    job.state = Job.State.ENABLED
    return job


def test_the_intraday_job_requests_the_current_day_at_its_interval() -> None:
    lines, calls = plan_and_apply(altered(), resources=INTRADAY)

    assert lines == ["+ job aggregate-intraday: */15 * * * * Etc/UTC"]
    assert calls == [("create", "projects/p/locations/europe-west1", INTRADAY_NAME)]
    assert intraday_job().pubsub_target.data == b'{"date": "today"}'
    assert plan_and_apply(altered(), intraday=intraday_job(), resources=INTRADAY) == ([], [])


def test_another_interval_changes_the_intraday_job() -> None:
    [line], _ = plan_and_apply(altered(), intraday=intraday_job(60), resources=INTRADAY)

    assert line.startswith("~ job aggregate-intraday: schedule: 0 */1 * * * → */15 * * * *, description: ")


def test_an_intraday_job_that_is_not_declared_any_more_is_deleted() -> None:
    lines, calls = plan_and_apply(altered(), intraday=intraday_job())

    assert lines == ["- job aggregate-intraday: isn't declared"]
    assert calls == [("delete", INTRADAY_NAME)]


@pytest.mark.parametrize("description", ["mine", "Every hour (sluice=other)"])
def test_an_undeclared_job_without_the_mark_is_left_alone(description: str) -> None:
    job = intraday_job()
    job.description = description

    assert plan_and_apply(altered(), intraday=job, adopt=True) == ([], [])


@pytest.mark.parametrize("minutes", INTERVALS)
def test_the_schedule_of_each_interval_fires_evenly_across_midnight(minutes: int) -> None:
    [_, job] = RESOURCES.with_intraday(minutes).jobs
    cron, moment, end = Cron(job.schedule, job.time_zone), datetime(2024, 1, 15, tzinfo=UTC), timedelta(days=2)
    times = [moment]
    while times[-1] < moment + end:
        following = cron.next_after(times[-1])
        assert following is not None
        times.append(following)

    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(minutes=minutes)}
    assert times[-1] == moment + end


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (None, ""),
        ({}, "OK"),
        ({"code": 5, "message": "no topic"}, "NOT_FOUND: no topic"),
        ({"code": 99, "message": ""}, "code 99"),
    ],
)
def test_a_job_of_the_scheduler_has_its_state_and_its_last_result(
    mocker: MockerFixture, status: dict[str, Any] | None, text: str
) -> None:
    attempt = datetime(2024, 1, 15, 1, tzinfo=UTC)
    job = altered(schedule="30 2 * * *", schedule_time=attempt + timedelta(days=1), last_attempt_time=attempt)
    if status is not None:
        job.status = status
    mocker.patch("infra.provision.scheduler_client.scheduler_client", return_value=nullcontext(Cloud(job)))

    found = find_job(SETTINGS)

    assert found is not None
    assert found.job == replace(DECLARED, schedule="30 2 * * *")
    assert (found.state, found.last_attempt, found.status) == ("ENABLED", attempt, text)
    assert found.next_run == attempt + timedelta(days=1)


def test_a_missing_job_is_not_found(mocker: MockerFixture) -> None:
    mocker.patch("infra.provision.scheduler_client.scheduler_client", return_value=nullcontext(Cloud(None)))

    assert find_job(SETTINGS) is None
