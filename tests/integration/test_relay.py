"""The relay delivers as Pub/Sub pushes: it posts messages, acknowledges those answered 2xx and nacks the others."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.pubsub_v1.types import PubsubMessage
from msgspec.structs import replace

from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.config import Settings
from shared.pubsub.publisher import Publisher
from tests.support.processes import free_port
from tests.support.samples import ROOT


class Function:
    """A server in place of a function; `answer` returns the status for the data of a message."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answer: Callable[[bytes], int] = lambda data: 200
        self.hold: asyncio.Event | None = None
        self.peers: list[tuple[str, int]] = []
        self.most: Counter[str] = Counter()  # most concurrent requests, by subscription
        self._concurrent: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername"))
        body = await request.read()
        data = json.loads(body)
        self.requests.append((dict(request.headers), data))
        subscription = data["subscription"].rpartition("/")[2]
        self._concurrent[subscription] += 1
        self.most |= self._concurrent
        if self.hold is not None:
            await self.hold.wait()
        self._concurrent[subscription] -= 1
        return web.Response(status=self.answer(base64.b64decode(data["message"]["data"])))

    def datas(self) -> list[bytes]:
        return [base64.b64decode(data["message"]["data"]) for _, data in self.requests]


@pytest.fixture
async def function() -> AsyncIterator[tuple[Function, str]]:
    function = Function()
    app = web.Application()
    app.router.add_post("/", function.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield function, f"http://127.0.0.1:{port}/"
    await runner.cleanup()


@contextlib.asynccontextmanager
async def relaying(settings: Settings, url: str, stats: Path, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.local.relay", "--project", settings.project_id),
        *(f"--route=events-ingest={url}", "--stats", str(stats), *more),
        env={**os.environ, "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator)},
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 15)


async def publish(settings: Settings, *datas: bytes, topic: str = "events", **attributes: str) -> list[str]:
    async with Publisher(settings) as publisher:
        return await publisher.publish(topic, [PubsubMessage(data=data, attributes=attributes) for data in datas])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(100):  # a busy machine takes seconds to start a process
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.02)


def counted(stats: Path, what: str) -> int:
    counts = json.loads(stats.read_text()) if stats.exists() else {}
    return sum(each.get(what, 0) for name, each in counts.items() if name.endswith("/events-ingest"))


@pytest.fixture(scope="session")
def emulators(google_emulators: Settings) -> Settings:
    """The relay is for Google's emulators alone."""
    return google_emulators


def provision(settings: Settings, ack_deadline: timedelta) -> None:
    backoff = timedelta(milliseconds=100), timedelta(seconds=10)
    provision_pubsub(settings, RESOURCES.with_fast_redelivery(backoff=backoff, ack_deadline=ack_deadline, attempts=5))


@pytest.fixture
def provisioned(empty_instance: Settings) -> Settings:
    provision(empty_instance, timedelta(seconds=10))
    return empty_instance


async def test_a_message_arrives_as_a_push(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    receiver, url = function
    [message_id] = await publish(provisioned, b'{"a": 1}', kind="test")
    async with relaying(provisioned, url, tmp_path / "stats"):
        await until(lambda: counted(tmp_path / "stats", "acknowledged") == 1)

    [(headers, data)] = receiver.requests
    assert headers["Content-Type"] == "application/json"
    assert data["subscription"] == f"projects/{provisioned.project_id}/subscriptions/events-ingest"
    message = data["message"]
    assert base64.b64decode(message["data"]) == b'{"a": 1}'
    assert (message["messageId"], message["message_id"], message["attributes"]) == (
        message_id,
        message_id,
        {"kind": "test"},
    )
    assert message["publishTime"] == message["publish_time"]
    assert message["publishTime"].endswith("Z")
    assert data["deliveryAttempt"] == 1


async def test_a_message_that_isnt_answered_2xx_is_redelivered(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    receiver, url = function
    answers = iter([503, 429, 200])
    receiver.answer = lambda data: next(answers)
    await publish(provisioned, b"again")
    async with relaying(provisioned, url, tmp_path / "stats"):
        await until(lambda: counted(tmp_path / "stats", "acknowledged") == 1)

    assert receiver.datas() == [b"again"] * 3


@pytest.mark.slow
async def test_a_message_that_always_fails_is_dead_lettered_and_delays_no_other(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    receiver, url = function
    receiver.answer = lambda data: 500 if data == b"poison" else 200
    healthy = [str(number).encode() for number in range(50)]
    await publish(provisioned, b"poison", *healthy)
    async with relaying(provisioned, url, tmp_path / "stats"):
        await until(lambda: counted(tmp_path / "stats", "acknowledged") == 50)
        await until(lambda: receiver.datas().count(b"poison") == 5)
        dead = await asyncio.to_thread(_pull, provisioned, "events-dead-letter-keep")

    assert dead == [b"poison"]
    assert sorted(set(receiver.datas()) - {b"poison"}) == sorted(healthy)


async def test_a_function_gets_its_messages_after_an_outage(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    receiver, _ = function
    port = free_port()
    unreachable = f"http://127.0.0.1:{port}/"
    await publish(provisioned, b"patient")
    async with relaying(provisioned, unreachable, tmp_path / "stats"):
        await until(lambda: counted(tmp_path / "stats", "failed") >= 1)
        app = web.Application()
        app.router.add_post("/", receiver.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            await until(lambda: counted(tmp_path / "stats", "acknowledged") == 1)
        finally:
            await runner.cleanup()
    assert receiver.datas() == [b"patient"]


async def test_a_post_in_flight_at_shutdown_is_acknowledged(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    receiver, url = function
    receiver.hold = asyncio.Event()
    await publish(provisioned, b"slow")
    async with relaying(provisioned, url, tmp_path / "stats") as relay:
        await until(lambda: len(receiver.requests) == 1)
        relay.send_signal(signal.SIGTERM)
        receiver.hold.set()
        assert await asyncio.wait_for(relay.wait(), 15) == 0

    receiver.hold = None
    await publish(provisioned, b"next")
    async with relaying(provisioned, url, tmp_path / "stats2"):
        await until(lambda: b"next" in receiver.datas())
    assert receiver.datas() == [b"slow", b"next"]


async def test_messages_waiting_at_shutdown_are_nacked(
    empty_instance: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    # Without a nack, Pub/Sub redelivers a message after this time, long after the test has failed.
    provision(empty_instance, timedelta(seconds=600))
    receiver, url = function
    receiver.hold = asyncio.Event()
    datas = [str(number).encode() for number in range(300)]
    await publish(empty_instance, *datas)
    async with relaying(empty_instance, url, tmp_path / "stats", "--outstanding", "2") as relay:
        await until(lambda: len(receiver.requests) == 2)
        relay.send_signal(signal.SIGTERM)
        receiver.hold.set()
        assert await asyncio.wait_for(relay.wait(), 15) == 0
    waiting = set(datas) - set(receiver.datas())
    assert waiting
    async with asyncio.timeout(100):
        while waiting:
            waiting -= set(await asyncio.to_thread(_pull, empty_instance, "events-ingest"))


@pytest.mark.slow
async def test_no_message_is_delivered_twice_to_a_slow_function(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    """The relay extends the lease of messages in flight and of waiting ones."""
    receiver, url = function
    receiver.hold = asyncio.Event()
    await publish(provisioned, *(str(number).encode() for number in range(300)))
    async with relaying(provisioned, url, tmp_path / "stats", "--outstanding", "2", "--lease", "10"):
        # An extension every 3.3 s: five take longer than a lease of 10 s.
        await until(lambda: counted(tmp_path / "stats", "extended") >= 5 * 300)
        receiver.hold.set()
        await until(lambda: counted(tmp_path / "stats", "acknowledged") >= 300)
        await publish(provisioned, b"last")
        await until(lambda: b"last" in receiver.datas())

    assert len(receiver.requests) == 301


async def test_a_route_can_be_limited_to_one_message_at_a_time(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    receiver, url = function
    receiver.hold = asyncio.Event()
    datas = [str(number).encode() for number in range(5)]
    await publish(provisioned, *datas)
    await publish(provisioned, *datas, topic="aggregate-requests")
    alone = f"--route=aggregate-run:1={url}"
    async with relaying(provisioned, url, tmp_path / "stats", alone):
        await until(lambda: len(receiver.requests) == 6)
        receiver.hold.set()
        await until(lambda: len(receiver.requests) == 10)

    assert receiver.most == {"events-ingest": 5, "aggregate-run": 1}


async def test_the_relay_reconnects_to_pubsub_after_an_outage(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    receiver, url = function
    host, port = str(provisioned.pubsub_emulator).split(":")
    connections: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        connections.update((writer, back))
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    through = server.sockets[0].getsockname()[1]
    stats = tmp_path / "stats"
    async with relaying(replace(provisioned, pubsub_emulator=f"127.0.0.1:{through}"), url, stats):
        await publish(provisioned, b"before")
        await until(lambda: counted(stats, "acknowledged") == 1)
        server.close()
        for writer in connections:
            writer.transport.abort()
        await until(lambda: counted(stats, "pulls failed") >= 3)

        server = await asyncio.start_server(connect, "127.0.0.1", through)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            while counted(stats, "acknowledged") < 2:
                await group.create_task(publish(provisioned, b"after"))
                await asyncio.sleep(0.2)
    server.close()
    for writer in connections:
        writer.transport.abort()

    assert receiver.datas()[:2] == [b"before", b"after"]


async def test_an_idle_connection_is_not_reused(
    provisioned: Settings, function: tuple[Function, str], tmp_path: Path
) -> None:
    """gunicorn closes it after 2 s, and a post at that moment fails."""
    receiver, url = function
    stats = tmp_path / "stats"
    async with relaying(provisioned, url, stats):
        await publish(provisioned, b"first")
        await until(lambda: counted(stats, "acknowledged") == 1)
        await asyncio.sleep(1.2)  # the test needs this time to pass
        await publish(provisioned, b"second")
        await until(lambda: counted(stats, "acknowledged") == 2)

    assert len(set(receiver.peers)) == 2


async def test_an_invalid_route_is_a_usage_error(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.local.relay", "--project", "p"),
        *("--route", "nonsense", "--emulator", "localhost:1"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"found 'nonsense', expected for example events-ingest=http" in err


def _pull(settings: Settings, subscription: str) -> list[bytes]:
    import grpc
    from google.pubsub_v1 import SubscriberClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    with grpc.insecure_channel(str(settings.pubsub_emulator)) as channel:
        client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        name = f"projects/{settings.project_id}/subscriptions/{subscription}"
        response = client.pull(subscription=name, max_messages=300, timeout=30)
        return [received.message.data for received in response.received_messages]
