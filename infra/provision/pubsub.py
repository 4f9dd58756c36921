"""Pub/Sub topics and subscriptions: create, compare, update."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import (
    DeadLetterPolicy,
    ExpirationPolicy,
    PushConfig,
    RetryPolicy,
    UpdateSubscriptionRequest,
)
from google.pubsub_v1.types import Subscription as Message

from infra.provision.google_api import PUBSUB, Caller, translate_errors
from infra.provision.plan import FIXED, Change, plan_subscription, plan_topics
from infra.provision.resources import RESOURCES, Resources, Subscription
from shared.config import Settings

_EMULATOR_MAX_RETENTION = timedelta(days=7)  # Pub/Sub itself allows 31 days

# The Pub/Sub field that holds each attribute of a declared subscription.
_FIELDS = {
    "ack_deadline": "ack_deadline_seconds",
    "retention": "message_retention_duration",
    "minimum_backoff": "retry_policy",
    "maximum_backoff": "retry_policy",
    "expires_after": "expiration_policy",
    "dead_letter": "dead_letter_policy",
    "attempts": "dead_letter_policy",
    "exactly_once": "enable_exactly_once_delivery",
    "push_endpoint": "push_config",
}


def provision_pubsub(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Create the missing topics and subscriptions; returns a line for each one created.

    Existing ones aren't compared, so each resource takes one call.

    Raises:
        SettingsError: the caller lacks permission.
        StoreUnavailableError: the service doesn't answer.
    """
    with open_pubsub(settings, resources) as pubsub:
        changes = [*plan_topics(resources.topics, ()), *pubsub.plan_creation()]
        return [f"{change.title} {change.text}".rstrip() for change in changes if pubsub.create(change)]


@contextmanager
def open_pubsub(settings: Settings, resources: Resources) -> Iterator[PubSub]:
    """Connect to Google's Pub/Sub or to the emulator."""
    if settings.pubsub_emulator:
        with grpc.insecure_channel(settings.pubsub_emulator) as channel:
            publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
            subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
            yield PubSub(settings, resources, publisher, subscriber)
        return
    with translate_errors("Pub/Sub", settings, PUBSUB):
        publisher, subscriber = PublisherClient(), SubscriberClient()
    with publisher, subscriber:
        yield PubSub(settings, resources, publisher, subscriber)


class PubSub:
    """The topics and subscriptions of a project.

    Attributes:
        notes: what `plan` skipped, and why.
        publisher: Google's client for topics.
        subscriber: Google's client for subscriptions.
    """

    def __init__(
        self, settings: Settings, resources: Resources, publisher: PublisherClient, subscriber: SubscriberClient
    ) -> None:
        self._project = f"projects/{settings.project_id}"
        self._region = settings.region
        self._emulated = settings.pubsub_emulator is not None
        self._resources = resources
        self._caller = Caller(settings, PUBSUB)
        self.publisher = publisher
        self.subscriber = subscriber
        self.notes: list[str] = []

    def plan(self, *, adopt: bool = False) -> list[Change]:
        """Read the existing topics and subscriptions and return the changes they need."""
        changes = plan_topics(
            self._resources.topics, [name for name in self._resources.topics if self._topic_exists(name)]
        )
        existing = [] if self._emulated else self._caller.call("subscriptions", self._list, project=self._project)
        for wanted in self._resources.subscriptions:
            if wanted.function is None or self._emulated:
                changes += plan_subscription(self._within_emulator_limits(wanted), self._subscription(wanted.name))
            else:
                changes += self._plan_trigger(wanted, map(self._from_message, existing))
        return changes

    def plan_creation(self) -> list[Change]:
        """Return the changes that create all subscriptions except those that Eventarc creates."""
        declared = [each for each in self._resources.subscriptions if each.function is None or self._emulated]
        return [change for each in declared for change in plan_subscription(self._within_emulator_limits(each), None)]

    def create(self, change: Change) -> bool:
        """Create a topic or a subscription; returns False if it exists."""
        if change.kind == "topic":
            name = f"{self._project}/topics/{change.name}"
            return self._caller.create(change.title, self.publisher.create_topic, name=name)
        request = self.subscription_message(_declared_subscription(change))
        return self._caller.create(change.title, self.subscriber.create_subscription, request=request)

    def apply(self, change: Change) -> None:
        """Apply a change."""
        if change.action == "change":
            wanted = self.subscription_message(_declared_subscription(change))
            mask = {"paths": sorted({_FIELDS[key] for key in change.keys})}
            request = UpdateSubscriptionRequest(subscription=wanted, update_mask=mask)
            self._caller.call(change.title, self.subscriber.update_subscription, request=request)
            return
        if change.action == "replace":
            name = f"{self._project}/subscriptions/{change.name}"
            self._caller.delete(change.title, self.subscriber.delete_subscription, subscription=name)
        self.create(change)

    def subscription_message(self, wanted: Subscription) -> Message:
        """Convert a declared subscription to Pub/Sub's message."""
        message = Message(
            name=f"{self._project}/subscriptions/{wanted.name}",
            topic=f"{self._project}/topics/{wanted.topic}",
            ack_deadline_seconds=int(wanted.ack_deadline.total_seconds()),
            message_retention_duration=wanted.retention,
            retry_policy=RetryPolicy(minimum_backoff=wanted.minimum_backoff, maximum_backoff=wanted.maximum_backoff),
            expiration_policy=ExpirationPolicy(ttl=wanted.expires_after),  # without a ttl it never expires
            filter=wanted.filter,
            enable_message_ordering=wanted.ordered,
            enable_exactly_once_delivery=wanted.exactly_once,
        )
        if wanted.push_endpoint:
            message.push_config = PushConfig(push_endpoint=wanted.push_endpoint)
        if wanted.dead_letter:
            message.dead_letter_policy = DeadLetterPolicy(
                dead_letter_topic=f"{self._project}/topics/{wanted.dead_letter}", max_delivery_attempts=wanted.attempts
            )
        return message

    def _within_emulator_limits(self, wanted: Subscription) -> Subscription:
        """Return the subscription with a retention that the emulator accepts; otherwise it would always differ."""
        return replace(wanted, retention=min(wanted.retention, _EMULATOR_MAX_RETENTION)) if self._emulated else wanted

    def _topic_exists(self, name: str) -> bool:
        get = partial(self.publisher.get_topic, topic=f"{self._project}/topics/{name}")
        return self._caller.find(f"topic {name}", get) is not None

    def _subscription(self, name: str) -> Subscription | None:
        get = partial(self.subscriber.get_subscription, subscription=f"{self._project}/subscriptions/{name}")
        message = self._caller.find(f"subscription {name}", get)
        return None if message is None else self._from_message(message)

    def _from_message(self, message: Message) -> Subscription:
        policy, retry = message.dead_letter_policy, message.retry_policy
        expires = message.expiration_policy.ttl or None
        if self._emulated:
            # The emulator never expires a subscription, doesn't return the default and rejects a change of it.
            expires = None
        elif "expiration_policy" not in message:
            expires = timedelta(days=31)
        return Subscription(
            name=_short_name(message.name),
            # Pub/Sub still returns the topic of a detached subscription, which gets no messages any more.
            topic="(detached)" if message.detached else self._local(message.topic, "topics"),
            ack_deadline=timedelta(seconds=message.ack_deadline_seconds),
            retention=message.message_retention_duration or timedelta(days=7),
            # Without a retry policy, Pub/Sub redelivers at once.
            minimum_backoff=retry.minimum_backoff or timedelta(0),
            maximum_backoff=retry.maximum_backoff or timedelta(0),
            expires_after=expires,
            dead_letter=self._local(policy.dead_letter_topic, "topics") or None,
            attempts=policy.max_delivery_attempts,
            filter=message.filter,
            ordered=message.enable_message_ordering,
            exactly_once=message.enable_exactly_once_delivery,
            push_endpoint=message.push_config.push_endpoint,
        )

    def _list(self, **arguments: Any) -> list[Message]:
        return list(self.subscriber.list_subscriptions(**arguments))  # the pager reads all pages

    def _local(self, name: str, kind: str) -> str:
        """Return a resource name of this project without the project; other names unchanged."""
        return name.removeprefix(f"{self._project}/{kind}/")

    def _plan_trigger(self, wanted: Subscription, existing: Iterable[Subscription]) -> list[Change]:
        """Return the changes of the subscription that Eventarc created for a function.

        Eventarc sets an ack deadline of 10 s and a retention of one day.
        """
        triggers = [
            each for each in existing if is_eventarc_subscription(each.name, str(wanted.function), self._region)
        ]
        if not triggers:
            self.notes.append(
                f"subscription of function {wanted.function}: Eventarc creates it when the function is deployed; "
                "run `sluice provision` again after that"
            )
        changes = []
        for found in triggers:
            # Eventarc owns the endpoint and the fixed attributes: provisioning couldn't recreate its subscription.
            fixed = {key: getattr(found, key) for key in (*FIXED, "push_endpoint")}
            changes += plan_subscription(replace(wanted, name=found.name, **fixed), found)
        return changes


def is_eventarc_subscription(subscription: str, function: str, region: str) -> bool:
    """Return whether Eventarc created it for a function, such as `eventarc-us-central1-ingest-123456-sub-789`.

    The topic doesn't matter: a function's name is unique in a project and region.
    """
    return re.fullmatch(rf"eventarc-{re.escape(region)}-{re.escape(function)}-\d+-sub-\d+", subscription) is not None


def _short_name(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _declared_subscription(change: Change) -> Subscription:
    if not isinstance(change.wanted, Subscription):
        raise TypeError(change)
    return change.wanted
