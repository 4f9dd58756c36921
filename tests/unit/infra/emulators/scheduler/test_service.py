"""Responses of the API, through Google's client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport
from google.cloud.scheduler_v1.types import Job, RetryConfig
from google.protobuf.field_mask_pb2 import FieldMask

from infra.emulators.clock import SystemClock
from infra.emulators.scheduler.server import serving
from tests.support.scheduler import NAME, PARENT, Local, job

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
NIGHT = datetime(2024, 1, 2, 1, tzinfo=UTC)


async def test_a_new_job_has_defaults_and_a_schedule_time(local: Local) -> None:
    created = await local.create()

    assert created == await local.get()
    assert (created.name, created.state, created.time_zone) == (NAME, Job.State.ENABLED, "Etc/UTC")
    assert (created.schedule_time, created.user_update_time) == (NIGHT, NOON)
    assert "last_attempt_time" not in created
    assert "status" not in created
    assert created.retry_config == RetryConfig(
        retry_count=0,
        max_retry_duration=timedelta(0),
        min_backoff_duration=timedelta(seconds=5),
        max_backoff_duration=timedelta(hours=1),
        max_doublings=5,
    )


async def test_the_synchronous_client_works_as_well(local: Local) -> None:
    def call() -> Job:
        with grpc.insecure_channel(f"127.0.0.1:{local.port}") as channel:
            client = CloudSchedulerClient(transport=CloudSchedulerGrpcTransport(channel=channel))
            client.create_job(parent=PARENT, job=job())
            client.pause_job(name=NAME)
            [found] = client.list_jobs(parent=PARENT)
            client.delete_job(name=NAME)
            return found

    found = await asyncio.to_thread(call)

    assert (found.name, found.state) == (NAME, Job.State.PAUSED)


async def test_the_time_zone_applies_to_the_schedule(local: Local) -> None:
    created = await local.create(time_zone="America/New_York")

    assert created.schedule_time == datetime(2024, 1, 2, 6, tzinfo=UTC)


async def test_a_job_without_a_name_gets_a_generated_name(local: Local) -> None:
    created = await local.create(name="")

    assert created.name.startswith(f"{PARENT}/jobs/")
    assert await local.get(created.name) == created


async def test_output_only_fields_are_ignored(local: Local) -> None:
    created = await local.create(
        state=Job.State.PAUSED, last_attempt_time=NOON, schedule_time=NOON, user_update_time=NIGHT
    )

    assert (created.state, created.schedule_time, created.user_update_time) == (Job.State.ENABLED, NIGHT, NOON)
    assert "last_attempt_time" not in created


async def test_a_duplicate_name_is_rejected(local: Local) -> None:
    await local.create()

    with pytest.raises(exceptions.AlreadyExists, match="nightly already exists"):
        await local.create(schedule="0 2 * * *")

    assert (await local.get()).schedule == "0 1 * * *"


@pytest.mark.parametrize("call", ["get_job", "delete_job", "pause_job", "resume_job", "run_job"])
async def test_a_missing_job_is_not_found(local: Local, call: str) -> None:
    with pytest.raises(exceptions.NotFound, match="nightly not found"):
        await getattr(local.client, call)(name=NAME)
    with pytest.raises(exceptions.InvalidArgument, match=r"must be formatted: .*found 'nightly'"):
        await getattr(local.client, call)(name="nightly")


async def test_a_missing_job_is_not_updated(local: Local) -> None:
    with pytest.raises(exceptions.NotFound, match="nightly not found"):
        await local.client.update_job(job=job(), update_mask=FieldMask(paths=["schedule"]))


TOPIC = {"topic_name": "projects/p/topics/requests"}
RETRY = "retry_config"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schedule": None}, "Schedule or time zone is invalid. schedule: found ''"),
        ({"schedule": "61 * * * *"}, "Schedule or time zone is invalid. schedule: found '61 .*Bad minute"),
        ({"schedule": "every 5 minutes"}, "Schedule or time zone is invalid. .*aren't supported"),
        ({"time_zone": "Mars/Olympus"}, "Schedule or time zone is invalid. time zone: found 'Mars/Olympus'"),
        ({"pubsub_target": None}, "target: found none"),
        ({"pubsub_target": {"topic_name": "requests", "data": b"x"}}, "topic_name: found 'requests'"),
        ({"pubsub_target": {"topic_name": "projects/q/topics/requests", "data": b"x"}}, "a topic of project q"),
        ({"pubsub_target": TOPIC}, "found neither data nor attributes"),
        ({"name": f"{PARENT}/jobs/a b"}, "Job name must be formatted"),
        ({"name": f"{PARENT}/jobs/{'a' * 501}"}, "Job name must be formatted"),
        ({"name": "projects/p/locations/elsewhere/jobs/a"}, "expected a name below the parent"),
        ({"description": "a" * 501}, "description: found 501 characters"),
        ({"pubsub_target": {**TOPIC, "data": b"x" * 1024 * 1024}}, "job: found .* bytes, expected 1048576 at most"),
        ({RETRY: {"retry_count": 6}}, "retry_count: found 6, expected 0 to 5"),
        ({RETRY: {"retry_count": -1}}, "retry_count: found -1"),
        ({RETRY: {"max_doublings": -1}}, "max_doublings: found -1"),
        ({RETRY: {"max_retry_duration": timedelta(seconds=-1)}}, "max_retry_duration: found -1 day"),
        (
            {RETRY: {"min_backoff_duration": timedelta(hours=2)}},
            "min_backoff_duration: found 2:00:00, expected at most",
        ),
    ],
)
async def test_an_invalid_job_is_rejected(local: Local, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=expected):
        await local.create(**changes)

    assert [each async for each in await local.client.list_jobs(parent=PARENT)] == []


async def test_app_engine_targets_are_not_implemented(local: Local) -> None:
    expected = "found an app_engine_http_target, expected a pubsub_target or an http_target"
    with pytest.raises(exceptions.MethodNotImplemented, match=expected):
        await local.create(pubsub_target=None, app_engine_http_target={"relative_uri": "/"})


@pytest.mark.parametrize("parent", ["", "projects/p", "projects/p/locations/l/jobs/j"])
async def test_an_invalid_parent_is_rejected(local: Local, parent: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="parent: found"):
        await local.client.create_job(parent=parent, job=job())
    with pytest.raises(exceptions.InvalidArgument, match="parent: found"):
        await local.client.list_jobs(parent=parent)


async def test_an_update_changes_the_fields_of_the_mask(local: Local) -> None:
    await local.create(description="old")
    await local.clock.advance(hours=1)
    changes = job(
        schedule="30 2 * * *",
        description="new",
        pubsub_target={**TOPIC, "data": b"other"},
        retry_config={"retry_count": 3},
    )

    paths = ["schedule", "pubsub_target.data", "retry_config.retry_count", "state"]
    changed = await local.client.update_job(job=changes, update_mask=FieldMask(paths=paths))

    assert (changed.schedule, changed.description) == ("30 2 * * *", "old")
    assert (changed.pubsub_target.data, dict(changed.pubsub_target.attributes)) == (b"other", {"a": "b"})
    assert (changed.retry_config.retry_count, changed.retry_config.max_doublings) == (3, 5)
    assert changed.schedule_time == datetime(2024, 1, 2, 2, 30, tzinfo=UTC)
    assert changed.user_update_time == NOON + timedelta(hours=1)
    await local.clock.advance(days=1)
    assert [(when, data) for when, _, data, _ in local.published] == [("02 02:30:00", b"other")]


async def test_an_update_without_a_mask_changes_the_given_fields(local: Local) -> None:
    await local.create(description="old")

    changed = await local.client.update_job(job=Job(name=NAME, time_zone="Europe/Berlin"))

    assert (changed.time_zone, changed.schedule, changed.description) == ("Europe/Berlin", "0 1 * * *", "old")


@pytest.mark.parametrize(
    ("changes", "path", "expected"),
    [
        ({"schedule": "x"}, "schedule", "Schedule or time zone is invalid"),
        ({"schedule": None}, "schedule", "Schedule or time zone is invalid"),
        ({}, "no_such_field", "update_mask: found no_such_field"),
        ({"pubsub_target": None}, "pubsub_target", "target: found none"),
    ],
)
async def test_an_invalid_update_changes_nothing(
    local: Local, changes: dict[str, Any], path: str, expected: str
) -> None:
    created = await local.create()

    with pytest.raises(exceptions.InvalidArgument, match=expected):
        await local.client.update_job(job=job(**changes), update_mask=FieldMask(paths=[path]))

    assert await local.get() == created


async def test_a_paused_job_stays_paused_after_an_update(local: Local) -> None:
    await local.create()
    await local.client.pause_job(name=NAME)

    changed = await local.client.update_job(job=job(schedule="0 2 * * *"), update_mask=FieldMask(paths=["schedule"]))
    await local.clock.advance(days=1)

    assert changed.state == Job.State.PAUSED
    assert local.attempts == []


async def test_pause_needs_an_enabled_job_and_resume_a_paused_one(local: Local) -> None:
    await local.create()
    with pytest.raises(exceptions.FailedPrecondition, match="can't be resumed: found state ENABLED, expected PAUSED"):
        await local.client.resume_job(name=NAME)
    paused = await local.client.pause_job(name=NAME)
    with pytest.raises(exceptions.FailedPrecondition, match="can't be paused: found state PAUSED, expected ENABLED"):
        await local.client.pause_job(name=NAME)
    resumed = await local.client.resume_job(name=NAME)

    assert (paused.state, resumed.state) == (Job.State.PAUSED, Job.State.ENABLED)
    assert "schedule_time" not in paused
    assert resumed.schedule_time == NIGHT


async def test_the_name_of_a_deleted_job_is_free(local: Local) -> None:
    await local.create()

    await local.client.delete_job(name=NAME)

    with pytest.raises(exceptions.NotFound):
        await local.get()
    await local.clock.advance(days=2)
    assert local.attempts == []
    await local.create()


async def test_jobs_are_listed_in_pages(local: Local) -> None:
    names = [f"{PARENT}/jobs/job-{number}" for number in range(5)]
    for name in [*reversed(names), "projects/p/locations/europe-west30/jobs/other"]:
        await local.client.create_job(parent=name.partition("/jobs/")[0], job=job(name))

    pages = await local.client.list_jobs(request={"parent": PARENT, "page_size": 2})
    found = [[each.name for each in page.jobs] async for page in pages.pages]

    assert found == [names[:2], names[2:4], names[4:]]
    assert [each.name async for each in await local.client.list_jobs(parent=PARENT)] == names


@pytest.mark.parametrize(
    ("request_", "expected"),
    [({"page_size": -1}, "page_size: found -1"), ({"page_token": "%"}, "page_token: found '%'")],
)
async def test_an_invalid_page_request_is_rejected(local: Local, request_: dict[str, Any], expected: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=expected):
        await local.client.list_jobs(request={"parent": PARENT, **request_})


async def test_a_port_in_use_is_reported(local: Local) -> None:
    with pytest.raises(OSError, match=f"port {local.port}"):
        async with serving(local.publish, SystemClock(), port=local.port):
            pass
