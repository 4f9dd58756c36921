"""StreamingPull, over Google's clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import StreamingPullRequest

from infra.emulators.clock import SystemClock
from tests.support.pubsub import NAME, Local, data, serving


class _Stream:
    """A client of one stream."""

    def __init__(self, local: Local, **fields: Any) -> None:
        first = StreamingPullRequest({"subscription": NAME, "stream_ack_deadline_seconds": 10, **fields})
        self._local = local
        self._requests: asyncio.Queue[StreamingPullRequest | None] = asyncio.Queue()
        self._requests.put_nowait(first)
        self.call: Any = None

    async def send(self, **fields: Any) -> None:
        await self._requests.put(StreamingPullRequest(fields))

    async def next(self) -> Any:
        async with asyncio.timeout(10):
            return await anext(self.call)

    async def messages(self) -> list[str]:
        return data((await self.next()).received_messages)

    async def requests(self) -> AsyncIterator[StreamingPullRequest]:
        while (request := await self._requests.get()) is not None:
            yield request


@asynccontextmanager
async def streaming(local: Local, **fields: Any) -> AsyncIterator[_Stream]:
    stream = _Stream(local, **fields)
    call = await local.subscriber.streaming_pull(requests=stream.requests())
    stream.call = call.__aiter__()
    try:
        yield stream
    finally:
        call.cancel()
        await asyncio.sleep(0.05)  # until the server notices


async def test_messages_come_as_they_are_published(local: Local) -> None:
    await local.subscribe()
    async with streaming(local) as stream:
        for each in ("a", "b"):
            await local.publish(each)
            assert await stream.messages() == [each]


async def test_a_stream_acknowledges_and_nacks(local: Local) -> None:
    await local.subscribe()
    await local.publish("a", "b")
    async with streaming(local) as stream:
        first, second = (await stream.next()).received_messages
        await stream.send(ack_ids=[first.ack_id], modify_deadline_ack_ids=[second.ack_id], modify_deadline_seconds=[0])
        assert await stream.messages() == ["b"]
        await local.clock.advance(seconds=11)
        assert await stream.messages() == ["b"]


async def test_the_stream_has_its_own_ack_deadline(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    async with streaming(local, stream_ack_deadline_seconds=60) as stream:
        assert await stream.messages() == ["a"]
        await local.clock.advance(seconds=59)
        assert await local.pull() == []
    await local.clock.advance(seconds=2)
    assert await local.pull() == ["a"]


async def test_a_client_gets_no_more_messages_than_its_limit(local: Local) -> None:
    await local.subscribe()
    await local.publish(*"abcde")
    async with streaming(local, max_outstanding_messages=2) as stream:
        first = (await stream.next()).received_messages
        assert data(first) == ["a", "b"]
        await asyncio.sleep(0.05)
        assert await local.pull(limit=1) == ["c"]  # the stream left the others
        await stream.send(ack_ids=[first[0].ack_id])
        assert await stream.messages() == ["d"]


async def test_a_client_gets_no_more_bytes_than_its_limit(local: Local) -> None:
    await local.subscribe()
    await local.publish(*("x" * 1_000 for _ in range(5)))
    async with streaming(local, max_outstanding_bytes=2_500) as stream:
        assert len((await stream.next()).received_messages) == 2
        assert len(await local.pull()) in (2, 3)


async def test_two_streams_share_the_messages(local: Local) -> None:
    await local.subscribe()
    async with streaming(local, max_outstanding_messages=1) as one, streaming(local, max_outstanding_messages=1) as two:
        await local.publish("a", "b", "c")
        assert sorted([*await one.messages(), *await two.messages()]) == ["a", "b"]


async def test_a_response_carries_the_properties_of_the_subscription(local: Local) -> None:
    await local.subscribe(enable_exactly_once_delivery=True, enable_message_ordering=True)
    await local.publish("a")
    async with streaming(local) as stream:
        response = await stream.next()
        assert response.subscription_properties.exactly_once_delivery_enabled
        assert response.subscription_properties.message_ordering_enabled
        (received,) = response.received_messages
        await stream.send(modify_deadline_ack_ids=[received.ack_id], modify_deadline_seconds=[20])
        assert (await stream.next()).modify_ack_deadline_confirmation.ack_ids == [received.ack_id]
        await stream.send(ack_ids=[received.ack_id])
        assert (await stream.next()).acknowledge_confirmation.ack_ids == [received.ack_id]
        await stream.send(ack_ids=[received.ack_id])
        assert (await stream.next()).acknowledge_confirmation.invalid_ack_ids == [received.ack_id]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"stream_ack_deadline_seconds": 9}, "found 9, expected 10 to 600"),
        ({"ack_ids": ["bad"]}, "Invalid ack id"),
        ({"modify_deadline_ack_ids": ["a"]}, "found 0 values, expected 1"),
    ],
)
async def test_an_invalid_request_ends_the_stream(local: Local, fields: Any, error: str) -> None:
    await local.subscribe()
    async with streaming(local, **fields) as stream:
        with pytest.raises((exceptions.InvalidArgument, grpc.aio.AioRpcError), match=error):
            await stream.next()


async def test_deleting_the_subscription_ends_the_stream(local: Local) -> None:
    await local.subscribe()
    async with streaming(local) as stream:
        await local.publish("a")
        await stream.next()
        await local.subscriber.delete_subscription(subscription=NAME)
        with pytest.raises((exceptions.NotFound, grpc.aio.AioRpcError), match="does not exist"):
            await stream.next()


async def test_a_closed_stream_takes_no_more_messages(local: Local) -> None:
    await local.subscribe()
    async with streaming(local) as stream:
        await local.publish("a")
        assert await stream.messages() == ["a"]
    await local.publish("b")
    assert await local.pull() == ["b"]


@pytest.mark.parametrize("exactly_once", [False, True])
async def test_googles_subscriber_receives_and_acknowledges(exactly_once: bool) -> None:
    async with serving(clock=SystemClock()) as local:
        await local.subscribe(enable_exactly_once_delivery=exactly_once)
        received: list[str] = []
        complete = threading.Event()

        def callback(message: Message) -> None:
            if message.data == b"7" and not message.delivery_attempt and "again" not in received:
                received.append("again")
                message.nack()
                return
            received.append(message.data.decode())
            if exactly_once:
                message.ack_with_response()
            else:
                message.ack()
            if len(received) == 101:
                complete.set()

        def run() -> None:
            with grpc.insecure_channel(local.address) as channel:
                client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
                future = client.subscribe(NAME, callback)
                assert complete.wait(30)
                future.cancel()
                future.result(30)

        running = asyncio.create_task(asyncio.to_thread(run))
        await local.publish(*map(str, range(100)))
        await running
        assert sorted(received) == sorted([*map(str, range(100)), "again"])
        assert await local.pull() == []
