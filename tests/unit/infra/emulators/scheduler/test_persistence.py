"""What the database keeps of jobs over a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.scheduler_v1 import CloudSchedulerAsyncClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcAsyncIOTransport
from google.cloud.scheduler_v1.types import Job
from google.rpc import code_pb2

from infra.emulators.database import open_database
from infra.emulators.scheduler.server import serving
from tests.support import pubsub
from tests.support.clock import ManualClock
from tests.support.scheduler import NAME, PARENT, Local, job, unavailable


@asynccontextmanager
async def scheduler(database: sqlite3.Connection, clock: ManualClock, publish: Any = None) -> AsyncIterator[Local]:
    local = Local(client=None, clock=clock)
    async with (
        serving(publish or local.publish, clock, database=database) as local.port,
        grpc.aio.insecure_channel(f"127.0.0.1:{local.port}") as channel,
    ):
        local.client = CloudSchedulerAsyncClient(transport=CloudSchedulerGrpcAsyncIOTransport(channel=channel))
        yield local


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2024, 1, 1, 12, tzinfo=UTC))


async def test_jobs_and_their_results_survive_a_restart(clock: ManualClock) -> None:
    database = open_database()
    async with scheduler(database, clock) as local:
        await local.create()
        await local.create(f"{NAME}-paused")
        await local.client.pause_job(name=f"{NAME}-paused")
        await local.create(f"{NAME}-deleted")
        await local.client.delete_job(name=f"{NAME}-deleted")
        await local.client.update_job(job=Job(name=NAME, description="changed"))
        local.failures = unavailable(1)
        await clock.advance(hours=14)
        before = [each async for each in await local.client.list_jobs(parent=PARENT)]
    async with scheduler(database, clock) as local:
        assert [each async for each in await local.client.list_jobs(parent=PARENT)] == before
        assert [(each.description, each.status.code) for each in before] == [("changed", code_pb2.UNAVAILABLE), ("", 0)]
        await clock.advance(days=1)
        assert local.attempts == ["03 01:00:00"]
    database.close()


async def test_runs_missed_while_the_scheduler_is_stopped_are_skipped(clock: ManualClock) -> None:
    database = open_database()
    async with scheduler(database, clock) as local:
        await local.create()
    clock.skip(days=3)
    async with scheduler(database, clock) as local:
        assert (await local.get()).schedule_time == datetime(2024, 1, 5, 1, tzinfo=UTC)
        await clock.advance(days=1)
        assert local.attempts == ["05 01:00:00"]
    database.close()


async def test_a_job_that_cant_be_stored_is_refused(clock: ManualClock) -> None:
    database = open_database()
    async with scheduler(database, clock) as local:
        database.execute("PRAGMA query_only = ON")
        with pytest.raises(exceptions.ServiceUnavailable, match="the database can't be written"):
            await local.client.create_job(parent=PARENT, job=job(), retry=None)
        with pytest.raises(exceptions.NotFound):
            await local.get()
        database.execute("PRAGMA query_only = OFF")
    database.close()


async def test_a_job_publishes_into_the_engine_of_the_same_process(clock: ManualClock) -> None:
    database = open_database()
    async with pubsub.serving(database, clock) as topics, scheduler(database, clock, topics.service.publish) as local:
        await topics.subscribe(topic="projects/p/topics/requests")
        await local.create()
        await local.create(f"{NAME}-lost", pubsub_target={"topic_name": "projects/p/topics/none", "data": b"x"})
        await clock.advance(hours=14)
        assert await topics.pull() == ["{}"]
        assert (await local.get()).status.code == code_pb2.OK
        assert (await local.get(f"{NAME}-lost")).status.code == code_pb2.NOT_FOUND
    database.close()
