"""The embedded engine and Google's emulator of Pub/Sub deliver messages alike.

Known differences of Google's emulator (0.8.20), beside the marked tests and those of test_pubsub_errors.py:

- The engine gives `state` and the default `expiration_policy` of subscriptions, as the service does.
- The engine's message IDs are times in microseconds; those of Google's emulator count from 1.
- Google's emulator pushes one or two messages at once, and redelivers nothing of a killed client under a retry policy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import ReceivedMessage, StreamingPullRequest

from tests.support.pubsub import DEAD_LETTERS, NAME, TOPIC, Local, data

SNAPSHOT = "projects/p/snapshots/before"


async def take(local: Local, count: int, name: str = NAME) -> list[ReceivedMessage]:
    """Lease messages until there are `count`."""
    received: list[ReceivedMessage] = []
    async with asyncio.timeout(10):
        while len(received) < count:
            received += await local.take(name)
            await asyncio.sleep(0.02)
    return received


async def quiet(local: Local, name: str = NAME) -> bool:
    """Return whether nothing comes within 0.3 seconds."""
    await asyncio.sleep(0.3)
    return await local.pull(name) == []


async def test_a_message_arrives_as_it_was_published(local: Local) -> None:
    await local.subscribe()
    before = local.clock.now()
    (number,) = await local.publish("ä", key="k", a="b")
    (received,) = await take(local, 1)
    message = received.message
    assert (message.data.decode(), dict(message.attributes), message.ordering_key) == ("ä", {"a": "b"}, "k")
    assert message.message_id == number
    assert abs(message.publish_time - before) < timedelta(seconds=5)
    assert received.delivery_attempt == 0


async def test_acknowledged_messages_dont_come_again_and_nacked_ones_do(local: Local) -> None:
    await local.subscribe()
    await local.publish("a", "b")
    received = {each.message.data: each for each in await take(local, 2)}
    await local.acknowledge(received[b"a"])
    await local.nack(received[b"b"])
    again = await take(local, 1)
    assert data(again) == ["b"]
    await local.acknowledge(*again)
    assert await quiet(local)


async def test_a_message_comes_again_after_its_ack_deadline(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    received = await take(local, 1)
    await local.nack(*received, seconds=1)
    assert await quiet(local)
    assert data(await take(local, 1)) == ["a"]


@pytest.mark.google_differs("a nacked message comes again at once")
async def test_the_backoff_delays_a_nacked_message(local: Local) -> None:
    await local.subscribe(retry_policy={"minimum_backoff": Duration(seconds=1), "maximum_backoff": Duration(seconds=2)})
    await local.publish("a")
    await local.nack(*await take(local, 1))
    assert await quiet(local)
    assert data(await take(local, 1)) == ["a"]


async def test_messages_of_a_key_come_in_order(local: Local) -> None:
    await local.subscribe(enable_message_ordering=True)
    for number in range(5):
        await local.publish(str(number), key="k")
    assert data(await take(local, 5)) == list("01234")


@pytest.mark.google_differs("the nacked message comes after the following ones")
@pytest.mark.slow
async def test_a_nack_brings_the_following_messages_of_the_key_again(local: Local) -> None:
    await local.subscribe(enable_message_ordering=True)
    for number in range(4):
        await local.publish(str(number), key="k")
    received = await take(local, 4)
    await local.acknowledge(received[0])
    await local.nack(received[1])
    assert data(await take(local, 3)) == ["1", "2", "3"]


@pytest.mark.google_differs("filters are stored and ignored")
async def test_filters_select_messages(local: Local) -> None:
    filters = {
        "attributes:a": ["both", "only a"],
        'attributes.a = "x"': ["both"],
        'attributes.a != "x"': ["neither", "only a"],
        'hasPrefix(attributes.b, "pre")': ["both"],
        "NOT attributes:a": ["neither"],
        '(attributes:a OR attributes:b) AND NOT attributes.a = "x"': ["only a"],
    }
    for number, text in enumerate(filters):
        await local.subscribe(f"{NAME}-{number}", filter=text)
    await local.publish("both", a="x", b="prefix")
    await local.publish("only a", a="y")
    await local.publish("neither")
    for number, expected in enumerate(filters.values()):
        assert sorted(data(await take(local, len(expected), f"{NAME}-{number}"))) == expected
        assert await local.pull(f"{NAME}-{number}") == []


async def test_a_dead_letter_has_its_attributes(local: Local) -> None:
    await local.subscribe(f"{NAME}-dead", topic=DEAD_LETTERS)
    await local.subscribe(dead_letter_policy={"dead_letter_topic": DEAD_LETTERS, "max_delivery_attempts": 5})
    await local.publish("a", kind="x")
    for attempt in range(1, 6):
        (received,) = await take(local, 1)
        assert received.delivery_attempt == attempt
        await local.nack(received)
    assert await quiet(local)  # Google's emulator forwards a message when it is pulled again
    (dead,) = await take(local, 1, f"{NAME}-dead")
    attributes = dict(dead.message.attributes)
    assert attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime", "").startswith("20")
    assert attributes == {
        "kind": "x",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "events-ingest",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
    }


async def test_seek_to_a_time_brings_acknowledged_messages_again(local: Local) -> None:
    await local.subscribe(retain_acked_messages=True)
    await local.publish("0")
    await asyncio.sleep(0.05)
    middle = local.clock.now()
    await asyncio.sleep(0.05)
    await local.publish("1")
    await local.acknowledge(*await take(local, 2))
    await local.subscriber.seek(request={"subscription": NAME, "time": middle})
    assert data(await take(local, 1)) == ["1"]
    assert await quiet(local)


async def test_seek_to_the_future_purges(local: Local) -> None:
    await local.subscribe()
    await local.publish("0")
    await local.subscriber.seek(request={"subscription": NAME, "time": local.clock.now() + timedelta(hours=1)})
    assert await quiet(local)


async def test_seek_to_a_snapshot_restores_what_was_unacknowledged(local: Local) -> None:
    await local.subscribe()
    await local.publish("0", "1")
    received = {each.message.data: each for each in await take(local, 2)}
    await local.acknowledge(received[b"0"])
    created = await local.subscriber.create_snapshot(name=SNAPSHOT, subscription=NAME)
    assert created.topic == TOPIC
    await local.acknowledge(received[b"1"])
    assert await quiet(local)
    await local.subscriber.seek(request={"subscription": NAME, "snapshot": SNAPSHOT})
    assert data(await take(local, 1)) == ["1"]


@pytest.mark.google_differs("a stream gets more messages than its limit")
async def test_a_stream_gives_and_acknowledges_messages(local: Local) -> None:
    name = f"{NAME}-stream"  # in Google's emulator the stream outlives the test, and its subscription
    await local.subscribe(name)
    requests: asyncio.Queue[StreamingPullRequest] = asyncio.Queue()

    async def sent() -> Any:
        while True:
            yield await requests.get()

    await requests.put(
        StreamingPullRequest(subscription=name, stream_ack_deadline_seconds=10, max_outstanding_messages=2)
    )
    call = await local.subscriber.streaming_pull(requests=sent())
    await local.publish(*"abcde")
    received: list[str] = []
    async with asyncio.timeout(30):
        async for response in call:
            assert len(response.received_messages) <= 2
            received += data(list(response.received_messages))
            if len(received) == 5:
                break
            ack_ids = [each.ack_id for each in response.received_messages]
            await requests.put(StreamingPullRequest(ack_ids=ack_ids))
    call.cancel()
    assert sorted(received) == list("abcde")


async def test_subscriptions_of_a_deleted_topic_keep_their_messages(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    await local.nack(*await take(local, 1))  # Google's emulator moves a message to its subscriptions after the response
    await local.publisher.delete_topic(topic=TOPIC)
    assert (await local.subscriber.get_subscription(subscription=NAME)).topic == "_deleted-topic_"
    assert data(await take(local, 1)) == ["a"]


async def test_lists_have_the_same_pages(local: Local) -> None:
    for number in range(5):
        await local.subscribe(f"{NAME}-{number}")
    listed: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (local.publisher.list_topics, {"project": "projects/p"}),
        (local.subscriber.list_subscriptions, {"project": "projects/p"}),
        (local.publisher.list_topic_subscriptions, {"topic": TOPIC}),
    ]
    names = [
        sorted([getattr(each, "name", each) async for each in await method(request={**request, "page_size": 2})])
        for method, request in listed
    ]
    subscriptions = [f"{NAME}-{number}" for number in range(5)]
    assert names == [[TOPIC], subscriptions, subscriptions]
