"""Publications of jobs, and failed attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import grpc
from google.cloud.scheduler_v1 import CloudSchedulerAsyncClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcAsyncIOTransport
from google.cloud.scheduler_v1.types import Job
from google.rpc import code_pb2

from infra.emulators.clock import SystemClock
from infra.emulators.database import open_database
from infra.emulators.errors import ApiError
from infra.emulators.protos import scheduler_pb2
from infra.emulators.scheduler.server import serving
from infra.emulators.scheduler.service import Service
from tests.support.clock import ManualClock
from tests.support.scheduler import NAME, PARENT, Local, job, unavailable

RETRY = {"retry_count": 3, "min_backoff_duration": timedelta(seconds=10)}


def own(given: Job) -> scheduler_pb2.Job:
    """Return Google's message as one of the emulator."""
    return scheduler_pb2.Job.FromString(Job.serialize(given))


async def test_a_job_publishes_its_message_when_it_is_due(local: Local) -> None:
    await local.create()

    await local.clock.advance(days=2)

    message = ("projects/p/topics/requests", b"{}", {"a": "b"})
    assert local.published == [("02 01:00:00", *message), ("03 01:00:00", *message)]
    found = await local.get()
    assert found.last_attempt_time == datetime(2024, 1, 3, 1, tzinfo=UTC)
    assert found.schedule_time == datetime(2024, 1, 4, 1, tzinfo=UTC)
    assert ("status" in found, found.status.code) == (True, code_pb2.OK)


async def test_jobs_do_not_wait_for_each_other(local: Local) -> None:
    await local.create(NAME + "-1", schedule="*/20 * * * *")
    await local.create(NAME + "-2", schedule="10 * * * *", time_zone="Asia/Kolkata")  # half an hour off

    await local.clock.advance(hours=1)

    assert local.attempts == ["01 12:20:00", "01 12:40:00", "01 12:40:00", "01 13:00:00"]


async def test_a_failure_without_retries_waits_for_the_next_scheduled_time(local: Local) -> None:
    await local.create()
    local.failures = unavailable(1)

    await local.clock.advance(hours=14)

    found = await local.get()
    assert (found.status.code, found.status.message) == (code_pb2.UNAVAILABLE, "the topic is unreachable")
    assert local.attempts == ["02 01:00:00"]
    await local.clock.advance(days=1)
    assert local.attempts == ["02 01:00:00", "03 01:00:00"]
    assert (await local.get()).status.code == code_pb2.OK


async def test_a_failure_is_retried_with_growing_backoff(local: Local) -> None:
    await local.create(retry_config=RETRY)
    local.failures = unavailable(2)

    await local.clock.advance_to(datetime(2024, 1, 2, 1, 0, 5, tzinfo=UTC))
    waiting = await local.get()
    await local.clock.advance(hours=1)

    assert waiting.schedule_time == datetime(2024, 1, 2, 1, 0, 10, tzinfo=UTC)
    assert waiting.status.code == code_pb2.UNAVAILABLE
    assert local.attempts == ["02 01:00:00", "02 01:00:10", "02 01:00:30"]
    found = await local.get()
    assert found.status.code == code_pb2.OK
    assert found.schedule_time == datetime(2024, 1, 3, 1, tzinfo=UTC)


async def test_a_job_that_exhausted_its_retries_waits_for_the_next_scheduled_time(local: Local) -> None:
    await local.create(retry_config=RETRY)
    local.failures = unavailable(4)

    await local.clock.advance(days=1, hours=14)

    assert local.attempts == ["02 01:00:00", "02 01:00:10", "02 01:00:30", "02 01:01:10", "03 01:00:00"]
    assert [when for when, *_ in local.published] == ["03 01:00:00"]


async def test_the_next_scheduled_time_replaces_retries(local: Local) -> None:
    await local.create(
        schedule="* * * * *", retry_config={"retry_count": 5, "min_backoff_duration": timedelta(seconds=50)}
    )
    local.failures = unavailable(2)

    await local.clock.advance(minutes=2, seconds=30)

    assert local.attempts == ["01 12:01:00", "01 12:01:50", "01 12:02:00"]


async def test_a_job_continues_after_any_error(local: Local) -> None:
    await local.create()
    local.failures = [RuntimeError("a bug"), ApiError(grpc.StatusCode.NOT_FOUND, "no such topic")]

    await local.clock.advance(hours=14)
    assert (await local.get()).status.code == code_pb2.INTERNAL
    await local.clock.advance(days=1)
    assert (await local.get()).status.code == code_pb2.NOT_FOUND
    await local.clock.advance(days=1)

    assert len(local.published) == 1


async def test_a_paused_job_can_be_run_manually(local: Local) -> None:
    await local.create(retry_config=RETRY)
    await local.client.pause_job(name=NAME)
    local.failures = unavailable(1)

    answer = await local.client.run_job(name=NAME)
    await local.clock.advance(seconds=5)
    failed = await local.get()
    await local.clock.advance(seconds=5)

    assert answer.name == NAME
    assert failed.last_attempt_time == datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert failed.status.code == code_pb2.UNAVAILABLE
    assert local.attempts == ["01 12:00:00", "01 12:00:10"]


async def test_a_manual_run_keeps_the_schedule(local: Local) -> None:
    await local.create()

    await local.client.run_job(name=NAME)
    await local.clock.advance(days=1)

    assert local.attempts == ["01 12:00:00", "02 01:00:00"]


async def test_a_deleted_job_is_not_retried(local: Local) -> None:
    await local.create(retry_config=RETRY)
    local.failures = unavailable(1)
    await local.client.run_job(name=NAME)
    await local.clock.advance(seconds=5)

    await local.client.delete_job(name=NAME)
    await local.clock.advance(days=2)

    assert local.attempts == ["01 12:00:00"]


async def test_a_stopped_scheduler_runs_no_job() -> None:
    clock, attempts = ManualClock(datetime(2024, 1, 1, 12, tzinfo=UTC)), list[str]()

    async def publish(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        attempts.append(topic)

    async with serving(publish, clock) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = CloudSchedulerAsyncClient(transport=CloudSchedulerGrpcAsyncIOTransport(channel=channel))
        await client.create_job(parent=PARENT, job=job())
    await clock.advance(days=2)

    assert attempts == []


async def test_a_running_attempt_has_no_status(local: Local) -> None:
    """A client that waits for the end of a run would otherwise see the previous status."""
    statuses = []

    async def record_status(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        statuses.append(service.get_job(scheduler_pb2.GetJobRequest(name=NAME)).HasField("status"))

    database = open_database()
    service = Service(record_status, local.clock, database)
    service.create_job(scheduler_pb2.CreateJobRequest(parent=PARENT, job=own(job())))
    await local.clock.advance(days=2)

    assert statuses == [False, False]
    assert service.get_job(scheduler_pb2.GetJobRequest(name=NAME)).HasField("status")
    await service.close()
    database.close()


async def test_a_resumed_job_skips_missed_times(local: Local) -> None:
    await local.create(retry_config=RETRY)
    local.failures = unavailable(1)
    await local.clock.advance_to(datetime(2024, 1, 2, 1, 0, 5, tzinfo=UTC))

    await local.client.pause_job(name=NAME)
    await local.clock.advance(days=3)
    await local.client.resume_job(name=NAME)
    await local.clock.advance(days=1)

    assert local.attempts == ["02 01:00:00", "06 01:00:00"]


async def test_times_missed_during_suspend_lead_to_one_run(local: Local) -> None:
    """The clock of a suspended machine jumps when it resumes."""
    await local.create(schedule="0 * * * *")
    await local.clock.advance(minutes=1)

    local.clock.skip(hours=5)
    await local.clock.advance(minutes=0)

    assert local.attempts == ["01 17:01:00"]
    assert (await local.get()).schedule_time == datetime(2024, 1, 1, 18, tzinfo=UTC)


async def test_scheduled_executions_of_a_job_never_overlap(local: Local) -> None:
    released, times, parallel, max_parallel = asyncio.Event(), list[str](), 0, 0

    async def slow(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        nonlocal parallel, max_parallel
        parallel += 1
        max_parallel = max(max_parallel, parallel)
        times.append(f"{local.clock.now():%H:%M:%S}")
        await released.wait()
        parallel -= 1

    database = open_database()
    service = Service(slow, local.clock, database)
    service.create_job(scheduler_pb2.CreateJobRequest(parent=PARENT, job=own(job(schedule="* * * * *"))))
    local.clock.skip(minutes=1)
    await local.clock.wake()
    local.clock.skip(seconds=90)
    await local.clock.wake()
    before_release = list(times)
    released.set()
    await local.clock.advance(seconds=0)

    assert before_release == ["12:01:00"]
    assert times == ["12:01:00", "12:02:30"]
    assert max_parallel == 1
    await service.close()
    database.close()


async def test_the_system_clock_sleeps_until_the_moment() -> None:
    clock = SystemClock()
    moment = clock.now() + timedelta(milliseconds=50)

    await clock.sleep_until(moment)

    assert moment <= clock.now()
