"""Pub/Sub topics and subscriptions: create, compare, update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import (
    DeadLetterPolicy,
    ExpirationPolicy,
    PushConfig,
    RetryPolicy,
    Topic,
    UpdateSubscriptionRequest,
    UpdateTopicRequest,
)
from google.pubsub_v1.types import Subscription as Message

from infra.provision.google_api import PUBSUB, Caller, translate_errors
from infra.provision.marks import LABEL
from infra.provision.plan import Change, Kind, plan_owned, plan_subscription, plan_topics
from infra.provision.resource_types import Subscription
from infra.provision.resources import RESOURCES, Resources
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
    "push_account": "push_config",
}


def provision_pubsub(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Create the missing topics and subscriptions; returns a line for each one created.

    Existing ones aren't compared, so each resource takes one call.

    Raises:
        SettingsError: the caller lacks permission.
        StoreUnavailableError: the service doesn't answer.
    """
    with open_pubsub(settings, resources) as pubsub:
        changes = [*plan_topics(pubsub.resources.topics, ()), *pubsub.plan_creation()]
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
        resources: the declared resources, under the names of the pipeline.
        notes: what `plan` skipped, and why.
        publisher: Google's client for topics.
        subscriber: Google's client for subscriptions.
    """

    def __init__(
        self, settings: Settings, resources: Resources, publisher: PublisherClient, subscriber: SubscriberClient
    ) -> None:
        self._project = f"projects/{settings.project_id}"
        self._emulated = settings.pubsub_emulator is not None
        self._owner = settings.name
        self.resources = resources.named(settings.name)
        self._caller = Caller(settings, PUBSUB)
        self.publisher = publisher
        self.subscriber = subscriber
        self.notes: list[str] = []

    def plan(self, *, adopt: bool = False) -> list[Change]:
        """Read the existing topics and subscriptions and return the changes they need; `adopt` marks unmarked ones."""
        changes = []
        for name in self.resources.topics:
            topic = self._topic(name)
            changes += self._owned("topic", name, topic, plan_topics((name,), (name,) if topic else ()), adopt=adopt)
        for declared in self.resources.subscriptions:
            message = self._subscription(declared.name)
            existing = self._from_message(message) if message else None
            planned = plan_subscription(self._adapted(declared, existing), existing)
            changes += self._owned("subscription", declared.name, message, planned, adopt=adopt)
        return changes

    def _owned(
        self, kind: Kind, name: str, message: Topic | Message | None, planned: list[Change], *, adopt: bool
    ) -> list[Change]:
        if message is None:
            return planned
        return plan_owned(kind, name, planned, owner=self._owner, found=message.labels.get(LABEL), adopt=adopt)

    def plan_creation(self) -> list[Change]:
        """Return the changes that create all subscriptions."""
        declared = self.resources.subscriptions
        return [change for each in declared for change in plan_subscription(self._adapted(each, None), None)]

    def create(self, change: Change) -> bool:
        """Create a topic or a subscription; returns False if it exists."""
        if change.kind == "topic":
            topic = Topic(name=f"{self._project}/topics/{change.name}", labels={LABEL: self._owner})
            return self._caller.create(change.title, self.publisher.create_topic, request=topic)
        request = self.subscription_message(_declared_subscription(change))
        return self._caller.create(change.title, self.subscriber.create_subscription, request=request)

    def apply(self, change: Change) -> None:
        """Apply a change."""
        if change.action == "adopt":
            self._adopt(change)
            return
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

    def _adopt(self, change: Change) -> None:
        """Add the pipeline's label to a topic or a subscription."""
        mask = {"paths": ["labels"]}
        if change.kind == "topic":
            if topic := self._topic(change.name):
                topic.labels[LABEL] = self._owner
                update = UpdateTopicRequest(topic=topic, update_mask=mask)
                self._caller.call(change.title, self.publisher.update_topic, request=update)
        elif subscription := self._subscription(change.name):
            subscription.labels[LABEL] = self._owner
            request = UpdateSubscriptionRequest(subscription=subscription, update_mask=mask)
            self._caller.call(change.title, self.subscriber.update_subscription, request=request)

    def subscription_message(self, wanted: Subscription) -> Message:
        """Convert a declared subscription to Pub/Sub's message."""
        message = Message(
            name=f"{self._project}/subscriptions/{wanted.name}",
            topic=f"{self._project}/topics/{wanted.topic}",
            labels={LABEL: self._owner},
            ack_deadline_seconds=int(wanted.ack_deadline.total_seconds()),
            message_retention_duration=wanted.retention,
            expiration_policy=ExpirationPolicy(ttl=wanted.expires_after),  # without a ttl it never expires
            filter=wanted.filter,
            enable_message_ordering=wanted.ordered,
            enable_exactly_once_delivery=wanted.exactly_once,
        )
        if wanted.maximum_backoff:  # without a retry policy, Pub/Sub redelivers at once
            message.retry_policy = RetryPolicy(
                minimum_backoff=wanted.minimum_backoff, maximum_backoff=wanted.maximum_backoff
            )
        if wanted.push_endpoint:
            message.push_config = PushConfig(push_endpoint=wanted.push_endpoint)
            if wanted.push_account:
                token = PushConfig.OidcToken(service_account_email=wanted.push_account, audience=wanted.push_endpoint)
                message.push_config.oidc_token = token
        if wanted.dead_letter:
            message.dead_letter_policy = DeadLetterPolicy(
                dead_letter_topic=f"{self._project}/topics/{wanted.dead_letter}", max_delivery_attempts=wanted.attempts
            )
        return message

    def _adapted(self, declared: Subscription, existing: Subscription | None) -> Subscription:
        """Return the declared subscription, adapted to the emulator or to a function that isn't deployed.

        Google's emulator refuses a longer retention, which would always differ. On Google Cloud, an existing
        subscription keeps its endpoint while its function isn't found; another region may be given by mistake.
        """
        if self._emulated and (existing is None or existing.retention != declared.retention):
            return replace(declared, retention=min(declared.retention, _EMULATOR_MAX_RETENTION))
        if self._emulated:
            return declared
        if not declared.function or declared.push_endpoint:
            return declared
        endpoint = existing.push_endpoint if existing else ""
        effect = f"it keeps pushing to {endpoint}" if endpoint else "it keeps the messages until then"
        self.notes.append(
            f"subscription {declared.name}: there is no function {declared.function}, and {effect}; `sluice deploy` "
            "deploys the function and sets its address here"
        )
        return replace(declared, push_endpoint=endpoint, push_account=existing.push_account) if existing else declared

    def _topic(self, name: str) -> Topic | None:
        get = partial(self.publisher.get_topic, topic=f"{self._project}/topics/{name}")
        return self._caller.find(f"topic {name}", get)

    def _subscription(self, name: str) -> Message | None:
        get = partial(self.subscriber.get_subscription, subscription=f"{self._project}/subscriptions/{name}")
        return self._caller.find(f"subscription {name}", get)

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
            push_account=message.push_config.oidc_token.service_account_email,
        )

    def _local(self, name: str, kind: str) -> str:
        """Return a resource name of this project without the project; other names unchanged."""
        return name.removeprefix(f"{self._project}/{kind}/")


def _short_name(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _declared_subscription(change: Change) -> Subscription:
    if not isinstance(change.wanted, Subscription):
        raise TypeError(change)
    return change.wanted
