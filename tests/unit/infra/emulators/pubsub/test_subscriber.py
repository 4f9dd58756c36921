"""Subscriptions: their limits, defaults and updates, over Google's client."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import Subscription

from tests.support.pubsub import DEAD_LETTERS, NAME, TOPIC, Local


def _seconds(count: int) -> Duration:
    return Duration(seconds=count)


async def test_a_subscription_gets_the_defaults(local: Local) -> None:
    created = await local.subscribe()
    assert created == await local.subscriber.get_subscription(subscription=NAME)
    assert created == Subscription(
        name=NAME,
        topic=TOPIC,
        push_config={},
        ack_deadline_seconds=10,
        message_retention_duration=_seconds(7 * 86_400),
        expiration_policy={"ttl": _seconds(31 * 86_400)},
        state=Subscription.State.ACTIVE,
    )


async def test_all_fields_are_kept(local: Local) -> None:
    await local.publisher.create_topic(name=DEAD_LETTERS)
    fields = {
        "ack_deadline_seconds": 600,
        "retain_acked_messages": True,
        "message_retention_duration": _seconds(31 * 86_400),
        "labels": {"a": "b"},
        "enable_message_ordering": True,
        "enable_exactly_once_delivery": True,
        "expiration_policy": {},
        "filter": "attributes:a",
        "dead_letter_policy": {"dead_letter_topic": DEAD_LETTERS, "max_delivery_attempts": 100},
        "retry_policy": {"minimum_backoff": _seconds(0), "maximum_backoff": _seconds(600)},
        "push_config": {
            "push_endpoint": "https://example.org/push?a=b",
            "oidc_token": {"service_account_email": "a@b.c", "audience": "d"},
            "no_wrapper": {"write_metadata": True},
            "attributes": {"x-goog-version": "v1"},
        },
    }
    created = await local.subscribe(**fields)
    assert created == Subscription(name=NAME, topic=TOPIC, state=Subscription.State.ACTIVE, **fields)


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"ack_deadline_seconds": 9}, exceptions.InvalidArgument, "found 9, expected 10 to 600"),
        ({"ack_deadline_seconds": 601}, exceptions.InvalidArgument, "found 601, expected 10 to 600"),
        ({"message_retention_duration": _seconds(599)}, exceptions.InvalidArgument, "found 599 s"),
        ({"message_retention_duration": _seconds(31 * 86_400 + 1)}, exceptions.InvalidArgument, "found 2678401 s"),
        ({"retry_policy": {"minimum_backoff": _seconds(601)}}, exceptions.InvalidArgument, "found 601 s"),
        (
            {"retry_policy": {"minimum_backoff": _seconds(20), "maximum_backoff": _seconds(10)}},
            exceptions.InvalidArgument,
            "maximum_backoff: found 10 s",
        ),
        (
            {"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 4}},
            exceptions.OutOfRange,
            "found 4, expected 5 to 100",
        ),
        (
            {"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 101}},
            exceptions.OutOfRange,
            "found 101, expected 5 to 100",
        ),
        ({"dead_letter_policy": {"dead_letter_topic": DEAD_LETTERS}}, exceptions.NotFound, "Dead letter topic"),
        ({"expiration_policy": {"ttl": _seconds(86_399)}}, exceptions.InvalidArgument, "found 86399 s"),
        ({"filter": "attributes"}, exceptions.InvalidArgument, "filter: found the end"),
        ({"push_config": {"push_endpoint": "ftp://a"}}, exceptions.InvalidArgument, "found 'ftp://a'"),
        ({"bigquery_config": {"table": "a.b.c"}}, exceptions.MethodNotImplemented, "bigquery_config"),
        ({"labels": {"a": "B"}}, exceptions.InvalidArgument, "found 'a': 'B'"),
        ({"topic": "projects/p/topics/none"}, exceptions.NotFound, "topic does not exist"),
        ({"topic": "none"}, exceptions.InvalidArgument, "Invalid .topics. name"),
        ({"name": "projects/p/subscriptions/ab"}, exceptions.InvalidArgument, "Invalid .subscriptions. name"),
    ],
)
async def test_an_invalid_subscription_is_refused(local: Local, fields: Any, error: type[Exception], text: str) -> None:
    await local.publisher.create_topic(name=TOPIC)
    with pytest.raises(error, match=text):
        await local.subscriber.create_subscription(request={"name": NAME, "topic": TOPIC, **fields})
    with pytest.raises(exceptions.NotFound):
        await local.subscriber.get_subscription(subscription=NAME)


async def test_a_subscription_name_is_taken_once(local: Local) -> None:
    await local.subscribe()
    with pytest.raises(exceptions.AlreadyExists):
        await local.subscribe()


async def test_a_subscription_gets_only_later_messages(local: Local) -> None:
    await local.publisher.create_topic(name=TOPIC)
    await local.publish("before")
    await local.subscribe()
    await local.publish("after")
    assert await local.pull() == ["after"]


async def test_each_subscription_gets_each_message(local: Local) -> None:
    names = [f"{NAME}-{number}" for number in range(2)]
    for name in names:
        await local.subscribe(name)
    await local.publish("a")
    for name in names:
        (received,) = await local.take(name)
        await local.acknowledge(received, name=name)
        assert await local.pull(name) == []


async def test_a_filter_selects_messages(local: Local) -> None:
    await local.subscribe(filter='attributes.kind = "a"')
    await local.publish("1", kind="a")
    await local.publish("2", kind="b")
    await local.publish("3")
    assert await local.pull() == ["1"]


async def test_the_fields_of_the_mask_are_updated(local: Local) -> None:
    await local.subscribe(labels={"a": "b"}, ack_deadline_seconds=20)
    updated = await local.subscriber.update_subscription(
        subscription={"name": NAME, "labels": {"c": "d"}, "retry_policy": {"minimum_backoff": _seconds(1)}},
        update_mask={"paths": ["labels", "ack_deadline_seconds", "retry_policy.minimum_backoff"]},
    )
    assert updated.labels == {"c": "d"}
    assert updated.ack_deadline_seconds == 10  # the default
    assert updated.retry_policy.minimum_backoff.total_seconds() == 1
    assert updated.retry_policy.maximum_backoff.total_seconds() == 600
    assert updated == await local.subscriber.get_subscription(subscription=NAME)


@pytest.mark.parametrize("path", ["name", "topic", "filter", "enable_message_ordering", "detached", "nothing"])
async def test_a_fixed_or_unknown_field_is_not_updated(local: Local, path: str) -> None:
    await local.subscribe()
    with pytest.raises(exceptions.InvalidArgument, match=path):
        await local.subscriber.update_subscription(subscription={"name": NAME}, update_mask={"paths": [path]})


async def test_an_update_needs_a_mask(local: Local) -> None:
    await local.subscribe()
    with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
        await local.subscriber.update_subscription(subscription={"name": NAME}, update_mask={"paths": []})


async def test_a_deleted_subscription_is_gone(local: Local) -> None:
    await local.subscribe()
    await local.publish("a")
    await local.subscriber.delete_subscription(subscription=NAME)
    assert [each async for each in await local.subscriber.list_subscriptions(project="projects/p")] == []
    await local.subscribe()
    assert await local.pull() == []


async def test_a_topic_with_retention_shows_in_its_subscriptions(local: Local) -> None:
    await local.publisher.create_topic(request={"name": TOPIC, "message_retention_duration": _seconds(600)})
    created = await local.subscribe()
    assert created.topic_message_retention_duration.total_seconds() == 600
