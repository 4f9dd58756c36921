"""Topics and Publish, over Google's client."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration

from tests.support.pubsub import NAME, TOPIC, Local


async def test_a_topic_is_created_listed_updated_and_deleted(local: Local) -> None:
    created = await local.publisher.create_topic(request={"name": TOPIC, "labels": {"a": "b"}})
    assert created == await local.publisher.get_topic(topic=TOPIC)
    with pytest.raises(exceptions.AlreadyExists):
        await local.publisher.create_topic(name=TOPIC)
    request = {"topic": {"name": TOPIC, "labels": {"c": "d"}}, "update_mask": {"paths": ["labels"]}}
    assert (await local.publisher.update_topic(request=request)).labels == {"c": "d"}
    await local.publisher.delete_topic(topic=TOPIC)
    for call in (local.publisher.get_topic, local.publisher.delete_topic):
        with pytest.raises(exceptions.NotFound):
            await call(topic=TOPIC)


async def test_lists_come_in_pages_in_order(local: Local) -> None:
    names = [f"projects/p/topics/t{number:02}" for number in range(5)]
    for name in reversed(names):
        await local.publisher.create_topic(name=name)
    await local.publisher.create_topic(name="projects/other/topics/t00")
    first = await local.publisher.list_topics(request={"project": "projects/p", "page_size": 2})
    assert [each.name for each in first.topics] == names[:2]
    assert [each.name async for each in first] == names


async def test_the_subscriptions_of_a_deleted_topic_keep_their_messages(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    assert [each async for each in await local.publisher.list_topic_subscriptions(topic=TOPIC)] == [NAME]
    await local.publisher.delete_topic(topic=TOPIC)
    assert (await local.subscriber.get_subscription(subscription=NAME)).topic == "_deleted-topic_"
    await local.publisher.create_topic(name=TOPIC)
    assert [each async for each in await local.publisher.list_topic_subscriptions(topic=TOPIC)] == []
    await local.publish("b")
    assert await local.pull() == ["a"]


async def test_a_detached_subscription_loses_its_messages(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    await local.publisher.detach_subscription(request={"subscription": NAME})
    assert (await local.subscriber.get_subscription(subscription=NAME)).detached
    assert [each async for each in await local.publisher.list_topic_subscriptions(topic=TOPIC)] == []
    await local.publish("b")
    with pytest.raises(exceptions.FailedPrecondition, match="detached"):
        await local.pull()


async def test_message_ids_increase(local: Local) -> None:
    await local.publisher.create_topic(name=TOPIC)
    ids = [int(each) for _ in range(3) for each in await local.publish("a", "b")]
    assert ids == sorted(set(ids))


async def test_a_message_arrives_as_it_was_published(local: Local) -> None:
    await local.subscribe()
    (number,) = await local.publish("ä", key="k", a="b")
    (received,) = await local.take()
    message = received.message
    assert (message.data.decode(), dict(message.attributes), message.ordering_key) == ("ä", {"a": "b"}, "k")
    assert (message.message_id, message.publish_time) == (number, local.clock.now())
    assert received.delivery_attempt == 0


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], "No messages"),
        ([{}], "Some messages are empty"),
        ([{"data": b"x"}] * 1_001, "found 1001, expected 1000 at most"),
        ([{"data": b"x" * 10_000_000}], "expected 10000000 at most"),
        ([{"attributes": {str(number): "" for number in range(101)}}], "found 101, expected 100 at most"),
        ([{"attributes": {"a" * 257: ""}}], "found 257 bytes, expected 256 at most"),
        ([{"attributes": {"a": "ä" * 513}}], "found 1026 bytes, expected 1024 at most"),
        ([{"attributes": {"": "a"}}], "found the key ''"),
        ([{"attributes": {"google": "a"}}], "found the key 'google'"),
        ([{"data": b"x", "ordering_key": "k" * 1_025}], "found 1025 bytes, expected 1024 at most"),
    ],
)
async def test_messages_beyond_a_limit_are_refused(local: Local, messages: list[Any], error: str) -> None:
    await local.subscribe()
    with pytest.raises(exceptions.InvalidArgument, match=error):
        await local.publisher.publish(topic=TOPIC, messages=messages)
    assert await local.pull() == []


async def test_messages_at_all_limits_are_accepted(local: Local) -> None:
    await local.publisher.create_topic(name=TOPIC)
    attributes = {f"{number:0256}": "ä" * 512 for number in range(100)}
    request = {"topic": TOPIC, "messages": [{"attributes": attributes, "ordering_key": "k" * 1_024}]}
    assert (await local.publisher.publish(request=request)).message_ids
    assert (await local.publisher.publish(topic=TOPIC, messages=[{"data": b"x"}] * 1_000)).message_ids


@pytest.mark.parametrize("name", ["ab", "googabc", "1abc", "abc$", "a" * 256, "a/b"])
async def test_an_invalid_topic_id_is_refused(local: Local, name: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=r"Invalid \[topics\] name"):
        await local.publisher.create_topic(name=f"projects/p/topics/{name}")


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        (
            {"message_retention_duration": Duration(seconds=599)},
            exceptions.InvalidArgument,
            "found 599 s",
        ),
        ({"labels": {"A": "b"}}, exceptions.InvalidArgument, "lower-case"),
        ({"schema_settings": {"schema": "projects/p/schemas/s"}}, exceptions.MethodNotImplemented, "schema_settings"),
    ],
)
async def test_an_invalid_topic_is_refused(local: Local, fields: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        await local.publisher.create_topic(request={"name": TOPIC, **fields})


async def test_publishing_to_a_missing_topic_fails(local: Local) -> None:
    with pytest.raises(exceptions.NotFound):
        await local.publish("a")


@pytest.mark.parametrize("path", ["name", "nothing", "state"])
async def test_a_fixed_or_unknown_field_of_a_topic_is_not_updated(local: Local, path: str) -> None:
    await local.publisher.create_topic(name=TOPIC)
    with pytest.raises(exceptions.InvalidArgument, match=path):
        await local.publisher.update_topic(request={"topic": {"name": TOPIC}, "update_mask": {"paths": [path]}})
