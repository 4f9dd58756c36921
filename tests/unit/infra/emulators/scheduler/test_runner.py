"""When jobs publish, and what becomes of attempts that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import grpc
from google.api_core import exceptions
from google.cloud.scheduler_v1 import CloudSchedulerAsyncClient, types
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcAsyncIOTransport
from google.rpc import code_pb2

from infra.emulators.scheduler.clock import SystemClock
from infra.emulators.scheduler.runner import Runner
from infra.emulators.scheduler.server import serving
from infra.emulators.scheduler.service import Service
from tests.support.clock import ManualClock
from tests.support.scheduler import NAME, PARENT, Local, job, unavailable

RETRY = {"retry_count": 3, "min_backoff_duration": timedelta(seconds=10)}


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


async def test_without_retries_a_failure_waits_for_the_next_firing(local: Local) -> None:
    await local.create()
    local.failures = unavailable(1)

    await local.clock.advance(hours=14)

    found = await local.get()
    assert (found.status.code, found.status.message) == (code_pb2.UNAVAILABLE, "the topic is unreachable")
    assert local.attempts == ["02 01:00:00"]
    await local.clock.advance(days=1)
    assert local.attempts == ["02 01:00:00", "03 01:00:00"]
    assert (await local.get()).status.code == code_pb2.OK


async def test_a_failure_is_tried_again_after_growing_pauses(local: Local) -> None:
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


async def test_after_so_many_retries_it_is_given_up_until_the_next_firing(local: Local) -> None:
    await local.create(retry_config=RETRY)
    local.failures = unavailable(4)

    await local.clock.advance(days=1, hours=14)

    assert local.attempts == ["02 01:00:00", "02 01:00:10", "02 01:00:30", "02 01:01:10", "03 01:00:00"]
    assert [when for when, *_ in local.published] == ["03 01:00:00"]


async def test_the_next_firing_takes_the_place_of_retries(local: Local) -> None:
    await local.create(
        schedule="* * * * *", retry_config={"retry_count": 5, "min_backoff_duration": timedelta(seconds=50)}
    )
    local.failures = unavailable(2)

    await local.clock.advance(minutes=2, seconds=30)

    assert local.attempts == ["01 12:01:00", "01 12:01:50", "01 12:02:00"]


async def test_whatever_an_attempt_ends_with_the_job_goes_on(local: Local) -> None:
    await local.create()
    local.failures = [RuntimeError("a bug"), exceptions.NotFound("no such topic")]

    await local.clock.advance(hours=14)
    assert (await local.get()).status.code == code_pb2.INTERNAL
    await local.clock.advance(days=1)
    assert (await local.get()).status.code == code_pb2.NOT_FOUND
    await local.clock.advance(days=1)

    assert len(local.published) == 1


async def test_a_job_runs_when_it_is_told_to_paused_or_not(local: Local) -> None:
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


async def test_a_run_by_hand_leaves_the_schedule_alone(local: Local) -> None:
    await local.create()

    await local.client.run_job(name=NAME)
    await local.clock.advance(days=1)

    assert local.attempts == ["01 12:00:00", "02 01:00:00"]


async def test_a_deleted_job_isnt_tried_again_either(local: Local) -> None:
    await local.create(retry_config=RETRY)
    local.failures = unavailable(1)
    await local.client.run_job(name=NAME)
    await local.clock.advance(seconds=5)

    await local.client.delete_job(name=NAME)
    await local.clock.advance(days=2)

    assert local.attempts == ["01 12:00:00"]


async def test_a_scheduler_that_has_ended_tries_nothing() -> None:
    clock, attempts = ManualClock(datetime(2024, 1, 1, 12, tzinfo=UTC)), list[str]()

    async def publish(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        attempts.append(topic)

    async with serving(publish, clock) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = CloudSchedulerAsyncClient(transport=CloudSchedulerGrpcAsyncIOTransport(channel=channel))
        await client.create_job(parent=PARENT, job=job())
    await clock.advance(days=2)

    assert attempts == []


async def test_of_an_attempt_under_way_there_is_no_status_yet(local: Local) -> None:
    """Whoever waits for the end of a run would take the status of the one before for it."""
    found = []

    async def look(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        found.append("status" in service.get_job(types.GetJobRequest(name=NAME)))

    service = Service(Runner(look, local.clock), local.clock)
    service.create_job(types.CreateJobRequest(parent=PARENT, job=job()))
    await local.clock.advance(days=2)

    assert found == [False, False]
    assert "status" in service.get_job(types.GetJobRequest(name=NAME))
    service.close()


async def test_a_paused_job_makes_nothing_good_when_it_is_resumed(local: Local) -> None:
    await local.create(retry_config=RETRY)
    local.failures = unavailable(1)
    await local.clock.advance_to(datetime(2024, 1, 2, 1, 0, 5, tzinfo=UTC))

    await local.client.pause_job(name=NAME)
    await local.clock.advance(days=3)
    await local.client.resume_job(name=NAME)
    await local.clock.advance(days=1)

    assert local.attempts == ["02 01:00:00", "06 01:00:00"]


async def test_what_came_due_while_the_machine_slept_is_made_good_once(local: Local) -> None:
    """A clock that leaps is what a suspended machine wakes up with."""
    await local.create(schedule="0 * * * *")
    await local.clock.advance(minutes=1)

    local.clock.skip(hours=5)
    await local.clock.advance(minutes=0)

    assert local.attempts == ["01 17:01:00"]
    assert (await local.get()).schedule_time == datetime(2024, 1, 1, 18, tzinfo=UTC)


async def test_a_firing_waits_for_the_one_before(local: Local) -> None:
    going, times, parallel, most = asyncio.Event(), list[str](), 0, 0

    async def slow(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        nonlocal parallel, most
        parallel += 1
        most = max(most, parallel)
        times.append(f"{local.clock.now():%H:%M:%S}")
        await going.wait()
        parallel -= 1

    service = Service(Runner(slow, local.clock), local.clock)
    service.create_job(types.CreateJobRequest(parent=PARENT, job=job(schedule="* * * * *")))
    local.clock.skip(minutes=1)
    await local.clock.wake()
    local.clock.skip(seconds=90)
    await local.clock.wake()
    waiting = list(times)
    going.set()
    await local.clock.advance(seconds=0)

    assert waiting == ["12:01:00"]
    assert times == ["12:01:00", "12:02:30"]
    assert most == 1
    service.close()


async def test_the_clock_of_the_machine_wakes_in_time() -> None:
    clock = SystemClock()
    moment = clock.now() + timedelta(milliseconds=50)

    await clock.sleep_until(moment)

    assert moment <= clock.now()
