"""Pull, acknowledgements, deadlines, backoff, dead letters and ordering keys."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration

from tests.support.pubsub import DEAD_LETTERS, NAME, Local, data


async def test_a_leased_message_is_given_once(local: Local) -> None:
    await local.subscribe()
    await local.publish("a", "b")
    assert await local.pull(limit=1) == ["a"]
    assert await local.pull() == ["b"]
    assert await local.pull() == []


async def test_an_unacknowledged_message_comes_again_after_the_ack_deadline(local: Local) -> None:
    await local.subscribe(ack_deadline_seconds=20)
    await local.publish("a")
    assert await local.pull() == ["a"]
    await local.clock.advance(seconds=19)
    assert await local.pull() == []
    await local.clock.advance(seconds=2)
    assert await local.pull() == ["a"]


async def test_an_acknowledged_message_never_comes_again(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    received = await local.take()
    await local.acknowledge(*received)
    await local.acknowledge(*received)  # again, without an error
    await local.clock.advance(days=1)
    assert await local.pull() == []


async def test_an_acknowledgement_after_the_deadline_still_counts(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    (first,) = await local.take()
    await local.clock.advance(seconds=11)
    (second,) = await local.take()
    assert first.ack_id != second.ack_id
    await local.acknowledge(first)
    await local.clock.advance(seconds=11)
    assert await local.pull() == []


async def test_a_deadline_is_extended_and_shortened(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    received = await local.take()
    await local.nack(*received, seconds=100)
    await local.clock.advance(seconds=99)
    assert await local.pull() == []
    await local.nack(*received, seconds=10)
    await local.nack(*received, seconds=10)
    await local.clock.advance(seconds=11)
    assert await local.pull() == ["a"]


async def test_a_nacked_message_comes_at_once_without_a_retry_policy(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    await local.nack(*await local.take())
    assert await local.pull() == ["a"]


async def test_the_backoff_of_a_message_doubles_up_to_the_longest(local: Local) -> None:
    await local.subscribe(
        retry_policy={"minimum_backoff": Duration(seconds=10), "maximum_backoff": Duration(seconds=60)}
    )
    await local.publish("a")
    for backoff in (10, 20, 40, 60, 60):
        received = await local.take()
        assert data(received) == ["a"]
        await local.nack(*received)
        await local.clock.advance(seconds=backoff - 1)
        assert await local.pull() == []
        await local.publish("b")  # other messages don't wait
        (other,) = await local.take()
        await local.acknowledge(other)
        await local.clock.advance(seconds=2)


async def test_a_pull_waits_for_a_message(local: Local) -> None:
    await local.subscribe()
    waiting = asyncio.create_task(local.subscriber.pull(subscription=NAME, max_messages=10))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await local.publish("a", "b")
    assert data(list((await waiting).received_messages)) == ["a", "b"]


async def test_a_cancelled_pull_takes_nothing(local: Local) -> None:
    await local.subscribe()
    waiting = asyncio.create_task(local.subscriber.pull(subscription=NAME, max_messages=10))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(0.05)
    await local.publish("a")
    assert await local.pull() == ["a"]


async def test_deleting_a_subscription_ends_its_pulls(local: Local) -> None:
    await local.subscribe()
    waiting = asyncio.create_task(local.subscriber.pull(subscription=NAME, max_messages=10))
    await asyncio.sleep(0.05)
    await local.subscriber.delete_subscription(subscription=NAME)
    with pytest.raises(exceptions.NotFound):
        await waiting


@pytest.mark.parametrize("seconds", [-1, 601])
async def test_an_invalid_deadline_is_refused(local: Local, seconds: int) -> None:
    await local.subscribe()
    await local.publish("a")
    received = await local.take()
    with pytest.raises(exceptions.InvalidArgument, match=f"found {seconds}, expected 0 to 600"):
        await local.nack(*received, seconds=seconds)


@pytest.mark.parametrize("ack_ids", [["bad"], ["1-2-3"], []])
async def test_invalid_ack_ids_are_refused(local: Local, ack_ids: list[str]) -> None:
    await local.subscribe()
    with pytest.raises(exceptions.InvalidArgument):
        await local.subscriber.acknowledge(subscription=NAME, ack_ids=ack_ids)
    with pytest.raises(exceptions.InvalidArgument):
        await local.subscriber.modify_ack_deadline(subscription=NAME, ack_ids=ack_ids, ack_deadline_seconds=10)


async def test_a_message_goes_to_the_dead_letter_topic_after_its_last_attempt(local: Local) -> None:
    await local.subscribe(f"{NAME}-dead", topic=DEAD_LETTERS)
    await local.subscribe(dead_letter_policy={"dead_letter_topic": DEAD_LETTERS, "max_delivery_attempts": 5})
    published = local.clock.now()
    await local.publish("a", kind="x")
    for attempt in range(1, 6):
        (received,) = await local.take()
        assert received.delivery_attempt == attempt
        if attempt % 2:
            await local.nack(received)
        else:
            await local.clock.advance(seconds=11)
    (dead,) = await local.take(f"{NAME}-dead")
    assert dead.message.data == b"a"
    assert dict(dead.message.attributes) == {
        "kind": "x",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "events-ingest",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": f"{published:%Y-%m-%dT%H:%M:%SZ}",
    }
    await local.clock.advance(days=1)
    assert await local.pull() == []


async def test_a_message_stays_without_its_dead_letter_topic(local: Local) -> None:
    await local.publisher.create_topic(name=DEAD_LETTERS)
    await local.subscribe(dead_letter_policy={"dead_letter_topic": DEAD_LETTERS, "max_delivery_attempts": 5})
    await local.publisher.delete_topic(topic=DEAD_LETTERS)
    await local.publish("a")
    for attempt in range(1, 8):
        (received,) = await local.take()
        assert received.delivery_attempt == attempt
        await local.nack(received)


async def test_messages_of_one_key_come_in_order_to_one_client(local: Local) -> None:
    await local.subscribe(enable_message_ordering=True)
    for number in range(6):
        await local.publish(str(number), key="k")
    first = await local.take(limit=2)
    assert data(first) == ["0", "1"]
    assert await local.pull() == []  # the first client has the key
    await local.publish("other", key="l")
    assert await local.pull() == ["other"]
    await local.acknowledge(first[0])
    assert await local.pull() == []
    await local.acknowledge(first[1])
    assert await local.pull() == ["2", "3", "4", "5"]


async def test_a_nack_brings_the_following_messages_of_the_key_again(local: Local) -> None:
    await local.subscribe(
        enable_message_ordering=True,
        retry_policy={"minimum_backoff": Duration(seconds=10), "maximum_backoff": Duration(seconds=60)},
    )
    for number in range(4):
        await local.publish(str(number), key="k")
    received = await local.take(limit=3)
    await local.acknowledge(received[0])
    await local.nack(received[1])
    assert await local.pull() == []
    await local.clock.advance(seconds=11)
    assert await local.pull() == ["1", "2", "3"]


async def test_an_ended_lease_brings_the_following_messages_of_the_key_again(local: Local) -> None:
    await local.subscribe(enable_message_ordering=True)
    await local.publish("0", key="k")
    await local.publish("1", key="k")
    await local.take()
    await local.clock.advance(seconds=11)
    received = await local.take()
    assert data(received) == ["0", "1"]
    assert all(int(a.message.message_id) < int(b.message.message_id) for a, b in pairwise(received))


async def test_an_unordered_subscription_ignores_keys(local: Local) -> None:
    await local.subscribe()
    await local.publish("0", "1", key="k")
    assert await local.pull(limit=1) == ["0"]
    assert await local.pull(limit=1) == ["1"]


async def test_exactly_once_refuses_an_ended_lease(local: Local) -> None:
    await local.subscribe(enable_exactly_once_delivery=True)
    await local.publish("a")
    (first,) = await local.take()
    await local.clock.advance(seconds=11)
    (second,) = await local.take()
    with pytest.raises(exceptions.FailedPrecondition) as caught:
        await local.acknowledge(first)
    assert caught.value.metadata == {first.ack_id: "PERMANENT_FAILURE_INVALID_ACK_ID"}
    await local.acknowledge(second)
    with pytest.raises(exceptions.FailedPrecondition):
        await local.acknowledge(second)


async def test_an_unacknowledged_message_expires_after_the_retention(local: Local) -> None:
    await local.subscribe(message_retention_duration=Duration(seconds=600))
    await local.publish("a")
    await local.clock.advance(seconds=300)
    await local.publish("b")
    await local.clock.advance(seconds=301)
    assert await local.pull() == ["b"]
