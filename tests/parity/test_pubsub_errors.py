"""The embedded engine and Google's emulator of Pub/Sub refuse the same calls with the same codes.

DIFFERENCES lists calls whose results differ; the engine follows the documentation of Google's service there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration

from tests.support.pubsub import DEAD_LETTERS, NAME, TOPIC, Local

NONE = "projects/p/subscriptions/none"
NO_TOPIC = "projects/p/topics/none"
Call = Callable[[Local], Awaitable[Any]]


def _publish(*messages: dict[str, Any], topic: str = TOPIC) -> Call:
    return lambda local: local.publisher.publish(topic=topic, messages=list(messages), retry=None)


def _create(**fields: Any) -> Call:
    name = "projects/p/subscriptions/created"
    return lambda local: local.subscriber.create_subscription(request={"name": name, "topic": TOPIC, **fields})


def _update(*paths: str, **fields: Any) -> Call:
    mask = {"paths": list(paths)}
    subscription = {"name": NAME, **fields}
    return lambda local: local.subscriber.update_subscription(subscription=subscription, update_mask=mask)


def _create_topic(name: str = "projects/p/topics/created", **fields: Any) -> Call:
    return lambda local: local.publisher.create_topic(request={"name": name, **fields})


def _subscriber(method: str, **fields: Any) -> Call:
    return lambda local: getattr(local.subscriber, method)(request=fields)


def _publisher(method: str, **fields: Any) -> Call:
    return lambda local: getattr(local.publisher, method)(request=fields)


SAME: dict[str, tuple[Call, str]] = {
    "a taken topic": (_create_topic(TOPIC), "ALREADY_EXISTS"),
    "a short topic ID": (_create_topic("projects/p/topics/ab"), "INVALID_ARGUMENT"),
    "a reserved topic ID": (_create_topic("projects/p/topics/googabc"), "INVALID_ARGUMENT"),
    "a topic ID with a digit first": (_create_topic("projects/p/topics/1abc"), "INVALID_ARGUMENT"),
    "a short retention of a topic": (
        _create_topic(message_retention_duration=Duration(seconds=5)),
        "INVALID_ARGUMENT",
    ),
    "a missing topic": (_publisher("get_topic", topic=NO_TOPIC), "NOT_FOUND"),
    "deleting a missing topic": (_publisher("delete_topic", topic=NO_TOPIC), "NOT_FOUND"),
    "publishing to a missing topic": (_publish({"data": b"x"}, topic=NO_TOPIC), "NOT_FOUND"),
    "no messages": (_publish(), "INVALID_ARGUMENT"),
    "an empty message": (_publish({}), "INVALID_ARGUMENT"),
    "1,001 messages": (_publish(*[{"data": b"x"}] * 1_001), "INVALID_ARGUMENT"),
    "a taken subscription": (_create(name=NAME), "ALREADY_EXISTS"),
    "a subscription of a missing topic": (_create(topic=NO_TOPIC), "NOT_FOUND"),
    "a subscription of an invalid topic": (_create(topic="x"), "INVALID_ARGUMENT"),
    "a long ack deadline": (_create(ack_deadline_seconds=601), "INVALID_ARGUMENT"),
    "a negative ack deadline": (_create(ack_deadline_seconds=-1), "INVALID_ARGUMENT"),
    "a short retention": (_create(message_retention_duration=Duration(seconds=599)), "INVALID_ARGUMENT"),
    "a long retention": (_create(message_retention_duration=Duration(seconds=31 * 86_400 + 1)), "INVALID_ARGUMENT"),
    "a negative backoff": (_create(retry_policy={"minimum_backoff": Duration(seconds=-1)}), "INVALID_ARGUMENT"),
    "a long backoff": (_create(retry_policy={"minimum_backoff": Duration(seconds=601)}), "INVALID_ARGUMENT"),
    "a backoff that shrinks": (
        _create(retry_policy={"minimum_backoff": Duration(seconds=9), "maximum_backoff": Duration(seconds=8)}),
        "INVALID_ARGUMENT",
    ),
    "4 attempts": (
        _create(dead_letter_policy={"dead_letter_topic": TOPIC, "max_delivery_attempts": 4}),
        "OUT_OF_RANGE",
    ),
    "101 attempts": (
        _create(dead_letter_policy={"dead_letter_topic": TOPIC, "max_delivery_attempts": 101}),
        "OUT_OF_RANGE",
    ),
    "a missing dead letter topic": (_create(dead_letter_policy={"dead_letter_topic": DEAD_LETTERS}), "NOT_FOUND"),
    "an invalid endpoint": (_create(push_config={"push_endpoint": "xx"}), "INVALID_ARGUMENT"),
    "a missing subscription": (_subscriber("get_subscription", subscription=NONE), "NOT_FOUND"),
    "deleting a missing subscription": (_subscriber("delete_subscription", subscription=NONE), "NOT_FOUND"),
    "updating the topic": (_update("topic", topic=DEAD_LETTERS), "INVALID_ARGUMENT"),
    "updating the filter": (_update("filter", filter="attributes:a"), "INVALID_ARGUMENT"),
    "updating the ordering": (_update("enable_message_ordering"), "INVALID_ARGUMENT"),
    "updating nothing": (_update(), "INVALID_ARGUMENT"),
    "updating an unknown field": (_update("unknown"), "INVALID_ARGUMENT"),
    "updating the ack deadline": (_update("ack_deadline_seconds", ack_deadline_seconds=20), "OK"),
    "pulling no messages": (_subscriber("pull", subscription=NAME, max_messages=0), "INVALID_ARGUMENT"),
    "pulling from a missing subscription": (_subscriber("pull", subscription=NONE, max_messages=1), "NOT_FOUND"),
    "an invalid ack ID": (_subscriber("acknowledge", subscription=NAME, ack_ids=["bad"]), "INVALID_ARGUMENT"),
    "no ack ID": (_subscriber("acknowledge", subscription=NAME), "INVALID_ARGUMENT"),
    "no ack ID for a deadline": (
        _subscriber("modify_ack_deadline", subscription=NAME, ack_deadline_seconds=10),
        "INVALID_ARGUMENT",
    ),
    "acknowledging at a missing subscription": (
        _subscriber("acknowledge", subscription=NONE, ack_ids=["x"]),
        "NOT_FOUND",
    ),
    "a negative deadline": (
        _subscriber("modify_ack_deadline", subscription=NAME, ack_ids=["x"], ack_deadline_seconds=-1),
        "INVALID_ARGUMENT",
    ),
    "seek without a target": (_subscriber("seek", subscription=NAME), "INVALID_ARGUMENT"),
    "seek to a missing snapshot": (
        _subscriber("seek", subscription=NAME, snapshot="projects/p/snapshots/none"),
        "NOT_FOUND",
    ),
    "deleting a missing snapshot": (
        _subscriber("delete_snapshot", snapshot="projects/p/snapshots/none"),
        "NOT_FOUND",
    ),
}


class Difference(NamedTuple):
    """The codes of a call with different results."""

    call: Call
    embedded: str
    google: str


DIFFERENCES: dict[str, Difference] = {
    "a request of 10 MB": Difference(_publish({"data": b"x" * 10_000_000}), "INVALID_ARGUMENT", "OK"),
    "101 attributes": Difference(
        _publish({"attributes": {f"a{number}": "" for number in range(101)}}), "INVALID_ARGUMENT", "OK"
    ),
    "a long attribute key": Difference(_publish({"attributes": {"a" * 257: "b"}}), "INVALID_ARGUMENT", "OK"),
    "a long attribute value": Difference(_publish({"attributes": {"a": "b" * 1_025}}), "INVALID_ARGUMENT", "OK"),
    "a reserved attribute": Difference(_publish({"attributes": {"goog": "b"}}), "INVALID_ARGUMENT", "OK"),
    "a long ordering key": Difference(_publish({"data": b"x", "ordering_key": "k" * 1_025}), "INVALID_ARGUMENT", "OK"),
    "invalid labels": Difference(_create_topic(labels={"A": "b"}), "INVALID_ARGUMENT", "OK"),
    "an ack deadline of 9 s": Difference(_create(ack_deadline_seconds=9), "INVALID_ARGUMENT", "OK"),
    "a retention of 31 days": Difference(
        _create(message_retention_duration=Duration(seconds=31 * 86_400)), "OK", "INVALID_ARGUMENT"
    ),
    "a short expiration": Difference(
        _create(expiration_policy={"ttl": Duration(seconds=86_399)}), "INVALID_ARGUMENT", "OK"
    ),
    "an invalid filter": Difference(_create(filter="attributes"), "INVALID_ARGUMENT", "OK"),
    "AND beside OR": Difference(
        _create(filter="attributes:a AND attributes:b OR attributes:c"), "INVALID_ARGUMENT", "OK"
    ),
    "updating labels": Difference(_update("labels", labels={"a": "b"}), "OK", "INVALID_ARGUMENT"),
    "updating a field of a policy": Difference(
        _update("retry_policy.minimum_backoff", retry_policy={"minimum_backoff": Duration(seconds=1)}),
        "OK",
        "INVALID_ARGUMENT",
    ),
    "detaching": Difference(_publisher("detach_subscription", subscription=NAME), "OK", "UNIMPLEMENTED"),
    "no dead letter topic": Difference(
        _create(dead_letter_policy={"max_delivery_attempts": 5}), "INVALID_ARGUMENT", "NOT_FOUND"
    ),
}


async def _code(local: Local, call: Call) -> str:
    await local.subscribe()
    try:
        await call(local)
    except exceptions.GoogleAPICallError as error:
        return str(error.grpc_status_code and error.grpc_status_code.name)
    return "OK"


@pytest.mark.parametrize("name", SAME)
async def test_a_call_has_the_same_code(local: Local, name: str) -> None:
    call, code = SAME[name]
    assert await _code(local, call) == code


@pytest.mark.parametrize("name", DIFFERENCES)
async def test_a_known_difference(local: Local, backend: str, name: str) -> None:
    difference = DIFFERENCES[name]
    expected = difference.embedded if backend == "embedded" else difference.google
    assert await _code(local, difference.call) == expected
