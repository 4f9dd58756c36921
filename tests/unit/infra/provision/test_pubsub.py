"""On Google Cloud, Eventarc creates the subscriptions of the functions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.pubsub_v1.types import ExpirationPolicy, PushConfig, RetryPolicy, Subscription, UpdateSubscriptionRequest

from infra.provision.plan import Change
from infra.provision.pubsub import PubSub
from infra.provision.resources import RESOURCES
from shared.config import Settings

TRIGGER = "eventarc-us-central1-ingest-123456-sub-789"


class Cloud:
    """A fake Pub/Sub with subscriptions, which records updates."""

    def __init__(self, *subscriptions: Subscription) -> None:
        self.subscriptions = {each.name: each for each in subscriptions}
        self.topics = {f"projects/p/topics/{name}" for name in RESOURCES.topics}
        self.updates: list[UpdateSubscriptionRequest] = []

    def get_topic(self, *, topic: str, **_: Any) -> str:
        if topic not in self.topics:
            raise exceptions.NotFound("Resource not found")
        return topic

    def list_subscriptions(self, *, project: str, **_: Any) -> list[Subscription]:
        assert project == "projects/p"
        return list(self.subscriptions.values())

    def get_subscription(self, *, subscription: str, **_: Any) -> Subscription:
        if subscription not in self.subscriptions:
            raise exceptions.NotFound("Resource not found")
        return self.subscriptions[subscription]

    def update_subscription(self, *, request: UpdateSubscriptionRequest, **_: Any) -> None:
        self.updates.append(request)


def eventarc(**different: Any) -> Subscription:
    """Return a subscription as Eventarc creates it."""
    return Subscription(
        {
            "name": f"projects/p/subscriptions/{TRIGGER}",
            "topic": "projects/p/topics/events",
            "push_config": PushConfig(push_endpoint="https://ingest.a.run.app?__GCP_CloudEventsMode=CE_PUBSUB_BINDING"),
            "ack_deadline_seconds": 10,
            "message_retention_duration": timedelta(days=1),
            "retry_policy": RetryPolicy(minimum_backoff=timedelta(seconds=10), maximum_backoff=timedelta(seconds=600)),
            "expiration_policy": ExpirationPolicy(),
            **different,
        }
    )


def connected(cloud: Cloud) -> PubSub:
    return PubSub(Settings("p", "i"), RESOURCES, cloud, cloud)


def trigger_lines(changes: list[Change]) -> list[str]:
    return [change.line() for change in changes if change.name != "events-dead-letter-keep"]


def test_eventarcs_subscription_gets_the_declared_properties() -> None:
    cloud = Cloud(eventarc())
    pubsub = connected(cloud)

    changes = pubsub.plan()
    assert trigger_lines(changes) == [
        f"~ subscription {TRIGGER}: ack deadline: 10 s → 600 s, dead-letter topic: none → events-dead-letter, "
        "delivery attempts: 0 → 100",
        f"~ subscription {TRIGGER}: retention: 1 day → 7 days",
    ]

    for change in changes[:2]:
        pubsub.apply(change)
    masks = [list(update.update_mask.paths) for update in cloud.updates]
    assert masks == [["ack_deadline_seconds", "dead_letter_policy"], ["message_retention_duration"]]
    # Eventarc owns the endpoint, which isn't in the mask.
    assert {update.subscription.name for update in cloud.updates} == {f"projects/p/subscriptions/{TRIGGER}"}


@pytest.mark.parametrize(
    "different", [{"filter": "attributes.a"}, {"enable_message_ordering": True}, {"detached": True}]
)
def test_eventarcs_subscription_is_never_recreated(different: dict[str, Any]) -> None:
    """The new subscription would have no trigger."""
    assert {change.action for change in connected(Cloud(eventarc(**different))).plan()} == {"change", "create"}


def test_a_function_that_isnt_deployed_has_no_subscription_yet() -> None:
    pubsub = connected(Cloud())

    assert trigger_lines(pubsub.plan()) == []
    assert [note.split(":")[0] for note in pubsub.notes] == [
        "subscription of function ingest",
        "subscription of function aggregate",
    ]


def test_subscriptions_of_functions_are_not_created_on_google_cloud() -> None:
    assert [change.name for change in connected(Cloud()).plan_creation()] == ["events-dead-letter-keep"]


@pytest.mark.parametrize("name", ["undeclared", "eventarc-europe-west1-ingest-123456-sub-789"])
def test_undeclared_subscriptions_are_ignored(name: str) -> None:
    other = eventarc(name=f"projects/p/subscriptions/{name}")

    assert trigger_lines(connected(Cloud(other)).plan()) == []


def test_eventarcs_subscription_of_another_topic_is_updated_too() -> None:
    [attempts, retention] = trigger_lines(connected(Cloud(eventarc(topic="projects/p/topics/orders"))).plan())

    assert attempts.startswith(f"~ subscription {TRIGGER}: ack deadline: 10 s → 600 s, dead-letter topic")
    assert retention == f"~ subscription {TRIGGER}: retention: 1 day → 7 days"


@pytest.mark.parametrize(
    ("different", "text"),
    [
        ({"expiration_policy": ExpirationPolicy(ttl=timedelta(days=31))}, "expires after: 31 days → none"),
        ({"expiration_policy": None}, "expires after: 31 days → none"),
        ({"detached": True}, "topic: (detached) → events-dead-letter; refused"),
    ],
)
def test_expiration_and_detachment_are_compared_on_google_cloud(different: dict[str, Any], text: str) -> None:
    kept = eventarc(
        name="projects/p/subscriptions/events-dead-letter-keep",
        topic="projects/p/topics/events-dead-letter",
        ack_deadline_seconds=600,
        message_retention_duration=timedelta(days=31),
        push_config=None,
        **different,
    )

    [change] = connected(Cloud(kept)).plan()
    assert text in change.line()
