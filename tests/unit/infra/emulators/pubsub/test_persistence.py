"""What the database keeps over a restart, a kill and a full disk."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from infra.emulators.clock import SystemClock
from infra.emulators.database import open_database
from tests.support.clock import ManualClock
from tests.support.pubsub import DEAD_LETTERS, NAME, NOON, TOPIC, Local, data, serving
from tests.support.samples import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pubsub.sqlite"


async def test_a_restart_keeps_all_resources(path: Path) -> None:
    snapshot = "projects/p/snapshots/before"

    async def resources(local: Local) -> list[Any]:
        return [
            await local.publisher.get_topic(topic=TOPIC),
            await local.subscriber.get_subscription(subscription=NAME),
            await local.subscriber.get_snapshot(snapshot=snapshot),
        ]

    async with serving(path) as local:
        await local.subscribe(labels={"a": "b"}, filter="attributes:a", retry_policy={})
        await local.subscriber.create_snapshot(name=snapshot, subscription=NAME)
        before = await resources(local)
    async with serving(path) as local:
        assert await resources(local) == before


async def test_a_restart_ends_leases_and_keeps_acknowledgements(path: Path) -> None:
    clock = ManualClock(NOON)
    async with serving(path, clock) as local:
        await local.subscribe(filter="attributes:a")
        await local.subscribe(f"{NAME}-other")
        await local.publish("acknowledged", "leased", "ready", a="b")
        await local.publish("filtered")
        (acknowledged, leased) = await local.take(limit=2)
        await local.acknowledge(acknowledged)
    async with serving(path, clock) as local:
        assert await local.pull() == ["leased", "ready"]
        await local.acknowledge(leased)  # an ID of the previous process
        await local.clock.advance(seconds=11)
        assert await local.pull() == ["ready"]
        assert await local.pull(f"{NAME}-other") == ["acknowledged", "leased", "ready", "filtered"]
        (number,) = await local.publish("new", a="b")
        assert int(number) > int(leased.message.message_id)


async def test_a_restart_keeps_delivery_attempts(path: Path) -> None:
    clock = ManualClock(NOON)
    async with serving(path, clock) as local:
        await local.publisher.create_topic(name=DEAD_LETTERS)
        await local.subscribe(dead_letter_policy={"dead_letter_topic": DEAD_LETTERS})
        await local.publish("a")
        for _ in range(3):
            await local.nack(*await local.take())
    async with serving(path, clock) as local:
        assert [each.delivery_attempt for each in await local.take()] == [4]


async def test_a_restart_keeps_what_a_seek_did(path: Path) -> None:
    clock = ManualClock(NOON)
    async with serving(path, clock) as local:
        await local.subscribe(retain_acked_messages=True)
        await local.publish("0")
        await local.clock.advance(minutes=1)
        middle = local.clock.now()
        await local.publish("1", "2")
        await local.acknowledge(*await local.take())
        await local.subscriber.seek(request={"subscription": NAME, "time": middle})
        await local.acknowledge(*await local.take(limit=1))
    async with serving(path, clock) as local:
        assert await local.pull() == ["2"]
        await local.subscriber.seek(request={"subscription": NAME, "time": NOON})
        assert await local.pull() == ["0", "1", "2"]


async def test_messages_expire_while_the_engine_is_stopped(path: Path) -> None:
    clock = ManualClock(NOON)
    async with serving(path, clock) as local:
        await local.subscribe(message_retention_duration=Duration(seconds=600))
        await local.publish("a")
    clock.skip(seconds=601)
    async with serving(path, clock) as local:
        await clock.advance(seconds=1)
        assert await local.pull() == []


async def test_a_deleted_topic_and_its_messages_stay_deleted(path: Path) -> None:
    async with serving(path) as local:
        await local.subscribe()
        await local.publish("a")
        await local.publisher.delete_topic(topic=TOPIC)
    async with serving(path) as local:
        assert (await local.subscriber.get_subscription(subscription=NAME)).topic == "_deleted-topic_"
        assert await local.pull() == ["a"]
        with pytest.raises(exceptions.NotFound):
            await local.publisher.get_topic(topic=TOPIC)


async def test_a_full_disk_refuses_messages_and_gives_unstored_acknowledgements_again() -> None:
    database = open_database()
    async with serving(database) as local:
        await local.subscribe()
        await local.publish("a")
        received = await local.take()
        # A database that can't be written fails like one on a full disk.
        database.execute("PRAGMA query_only = ON")
        with pytest.raises(exceptions.ServiceUnavailable, match="the database can't be written"):
            await local.publisher.publish(topic=TOPIC, messages=[{"data": b"b"}], retry=None, timeout=5)
        ack_ids = [each.ack_id for each in received]
        with pytest.raises(exceptions.ServiceUnavailable, match="the database can't be written"):
            await local.subscriber.acknowledge(subscription=NAME, ack_ids=ack_ids, retry=None, timeout=5)
        other = f"{NAME}-other"
        with pytest.raises(exceptions.ServiceUnavailable, match="the database can't be written"):
            await local.subscriber.create_subscription(name=other, topic=TOPIC, retry=None, timeout=5)
        with pytest.raises(exceptions.NotFound):
            await local.subscriber.get_subscription(subscription=other)
        database.execute("PRAGMA query_only = OFF")
        again = await local.take()
        assert data(again) == ["a"]
        await local.acknowledge(*again)
        await local.publish("c")
        assert await local.pull() == ["c"]


@asynccontextmanager
async def process(path: Path) -> AsyncIterator[Local]:
    """Run an engine in a process that is killed at the end."""
    command = [sys.executable, "-m", "tests.support.pubsub_server", str(path)]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        assert server.stdout is not None
        address = f"127.0.0.1:{int(await server.stdout.readline())}"
        async with grpc.aio.insecure_channel(address) as channel:
            publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
            subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
            yield Local(Any, SystemClock(), publisher, subscriber, address)
            server.send_signal(signal.SIGKILL)
    finally:
        await server.wait()


async def test_a_kill_loses_no_published_message_and_no_acknowledgement(path: Path) -> None:
    published: set[str] = set()
    acknowledged: set[str] = set()

    async def publish(local: Local, round: int) -> None:
        for number in range(10_000):
            name = f"{round}-{number}"
            await local.publisher.publish(topic=TOPIC, messages=[{"data": name.encode()}], retry=None)
            published.add(name)

    async def consume(local: Local, given: set[str]) -> None:
        while True:
            received = await local.take(limit=5)
            given.update(data(received))
            if received:
                ack_ids = [each.ack_id for each in received]
                await local.subscriber.acknowledge(subscription=NAME, ack_ids=ack_ids, retry=None)
                acknowledged.update(data(received))
            await asyncio.sleep(0.001)

    for round in range(2):
        async with process(path) as local:
            if round == 0:
                await local.subscribe()
            given: set[str] = set()
            earlier = set(acknowledged)
            tasks = [asyncio.create_task(publish(local, round)), asyncio.create_task(consume(local, given))]
            async with asyncio.timeout(30):
                while len(acknowledged) < 100 * (round + 1):  # noqa: ASYNC110 - no event signals the number
                    await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not given & earlier
    async with process(path) as local:
        missing = published - acknowledged
        given = set()
        async with asyncio.timeout(30):
            while not missing <= given:
                given.update(await local.pull())
        assert not given & acknowledged


def test_the_engine_leaves_the_tables_of_others_alone(path: Path) -> None:
    database = open_database(path)
    database.execute("CREATE TABLE others (id)")
    database.execute("INSERT INTO others VALUES (1)")

    async def run() -> None:
        async with serving(database) as local:
            await local.subscribe()

    asyncio.run(run())
    assert database.execute("SELECT id FROM others").fetchall() == [(1,)]
    assert all(
        name.startswith(("pubsub_", "others", "sqlite_"))
        for (name,) in database.execute("SELECT name FROM sqlite_schema")
    )
    database.close()


def test_a_corrupt_file_is_refused(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        open_database(path)
    assert path.read_bytes() == b"no database" * 1_000


async def test_damage_of_the_file_is_an_error_of_the_call() -> None:
    database = open_database()
    async with serving(database) as local:
        await local.subscribe()
        await local.publish("0")
        database.execute("DROP TABLE pubsub_messages")

        with pytest.raises(exceptions.DataLoss, match="the database can't be read: no such table: pubsub_messages"):
            await local.subscriber.seek(request={"subscription": NAME, "time": NOON})
    database.close()
