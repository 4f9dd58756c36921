"""Topics and subscriptions: make them, find out how they are, put them right."""

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

from infra.provision.google_api import PUBSUB, Caller, explaining
from infra.provision.plan import FIXED, Change, plan_subscription, plan_topics
from infra.provision.resources import RESOURCES, Resources, Subscription
from shared.config import Settings

_EMULATED_RETENTION = timedelta(days=7)  # the emulator refuses more; Pub/Sub itself takes 31

# The field of Pub/Sub that an attribute of ours is part of.
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
    """Make the missing topics and subscriptions; returns a line for each thing made.

    What exists isn't looked at: it takes one call for each thing.

    Raises:
        SettingsError: they may not be made.
        StoreUnavailableError: the service doesn't answer.
    """
    with open_pubsub(settings, resources) as pubsub:
        changes = [*plan_topics(resources.topics, ()), *pubsub.plan_unseen()]
        return [f"{change.title} {change.text}".rstrip() for change in changes if pubsub.make(change)]


@contextmanager
def open_pubsub(settings: Settings, resources: Resources) -> Iterator[PubSub]:
    """Connect to Pub/Sub, Google's or the emulator."""
    if settings.pubsub_emulator:
        with grpc.insecure_channel(settings.pubsub_emulator) as channel:
            publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
            subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
            yield PubSub(settings, resources, publisher, subscriber)
        return
    with explaining("Pub/Sub", settings, PUBSUB):
        publisher, subscriber = PublisherClient(), SubscriberClient()
    with publisher, subscriber:
        yield PubSub(settings, resources, publisher, subscriber)


class PubSub:
    """The topics and subscriptions of a project.

    Attributes:
        notes: what `plan` left out, and why.
        publisher: Google's client.
        subscriber: likewise.
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

    def plan(self) -> list[Change]:
        """Look at what exists; returns what has to change."""
        changes = plan_topics(
            self._resources.topics, [name for name in self._resources.topics if self._has_topic(name)]
        )
        all_there = [] if self._emulated else self._caller.do("subscriptions", self._list, project=self._project)
        for wanted in self._resources.subscriptions:
            if wanted.function is None or self._emulated:
                changes += plan_subscription(self._possible(wanted), self._subscription(wanted.name))
            else:
                changes += self._plan_trigger(wanted, map(self._found, all_there))
        return changes

    def plan_unseen(self) -> list[Change]:
        """Return the changes that make every subscription of ours, as if there were none."""
        ours = [each for each in self._resources.subscriptions if each.function is None or self._emulated]
        return [change for each in ours for change in plan_subscription(self._possible(each), None)]

    def make(self, change: Change) -> bool:
        """Make a topic or a subscription; returns False if it was there."""
        if change.thing == "topic":
            name = f"{self._project}/topics/{change.name}"
            return self._caller.make(change.title, self.publisher.create_topic, name=name)
        request = self.message(_wanted(change))
        return self._caller.make(change.title, self.subscriber.create_subscription, request=request)

    def apply(self, change: Change) -> None:
        """Do what a change says."""
        if change.action == "change":
            wanted = self.message(_wanted(change))
            mask = {"paths": sorted({_FIELDS[key] for key in change.keys})}
            request = UpdateSubscriptionRequest(subscription=wanted, update_mask=mask)
            self._caller.do(change.title, self.subscriber.update_subscription, request=request)
            return
        if change.action == "replace":
            name = f"{self._project}/subscriptions/{change.name}"
            self._caller.remove(change.title, self.subscriber.delete_subscription, subscription=name)
        self.make(change)

    def message(self, wanted: Subscription) -> Message:
        """Return a subscription as Pub/Sub takes it."""
        message = Message(
            name=f"{self._project}/subscriptions/{wanted.name}",
            topic=f"{self._project}/topics/{wanted.topic}",
            ack_deadline_seconds=int(wanted.ack_deadline.total_seconds()),
            message_retention_duration=wanted.retention,
            retry_policy=RetryPolicy(minimum_backoff=wanted.minimum_backoff, maximum_backoff=wanted.maximum_backoff),
            expiration_policy=ExpirationPolicy(ttl=wanted.expires_after),  # without a time to live, it has none
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

    def _possible(self, wanted: Subscription) -> Subscription:
        """Return what the emulator can do of it, so that no difference stays for ever."""
        return replace(wanted, retention=min(wanted.retention, _EMULATED_RETENTION)) if self._emulated else wanted

    def _has_topic(self, name: str) -> bool:
        get = partial(self.publisher.get_topic, topic=f"{self._project}/topics/{name}")
        return self._caller.find(f"topic {name}", get) is not None

    def _subscription(self, name: str) -> Subscription | None:
        get = partial(self.subscriber.get_subscription, subscription=f"{self._project}/subscriptions/{name}")
        message = self._caller.find(f"subscription {name}", get)
        return None if message is None else self._found(message)

    def _found(self, message: Message) -> Subscription:
        policy, retry = message.dead_letter_policy, message.retry_policy
        expires = message.expiration_policy.ttl or None
        if self._emulated:
            # It never deletes any, doesn't tell the default, and refuses to change it.
            expires = None
        elif "expiration_policy" not in message:
            expires = timedelta(days=31)
        return Subscription(
            name=_short(message.name),
            # A detached subscription is told to be on its topic still, but gets nothing of it any more.
            topic="(detached)" if message.detached else self._local(message.topic, "topics"),
            ack_deadline=timedelta(seconds=message.ack_deadline_seconds),
            retention=message.message_retention_duration or timedelta(days=7),
            # Without a policy, Pub/Sub delivers again at once.
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
        return list(self.subscriber.list_subscriptions(**arguments))  # asks page after page

    def _local(self, name: str, collection: str) -> str:
        """Return a name of our project without the project; others as they are."""
        return name.removeprefix(f"{self._project}/{collection}/")

    def _plan_trigger(self, wanted: Subscription, all_there: Iterable[Subscription]) -> list[Change]:
        """Return what has to change of the subscription that Eventarc has made for a function.

        Its default ends the wait for an answer after 10 s and keeps messages for a day.
        """
        theirs = [each for each in all_there if is_trigger(each.name, str(wanted.function), self._region)]
        if not theirs:
            self.notes.append(
                f"subscription of function {wanted.function}: Eventarc makes it when the function is deployed; "
                "provision again after that"
            )
        changes = []
        for found in theirs:
            # Where it pushes to, and what would need another one, is Eventarc's business: we couldn't make it anew.
            fixed = {key: getattr(found, key) for key in (*FIXED, "push_endpoint")}
            changes += plan_subscription(replace(wanted, name=found.name, **fixed), found)
        return changes


def is_trigger(subscription: str, function: str, region: str) -> bool:
    """Return whether Eventarc has made it for a function, such as `eventarc-us-central1-ingest-123456-sub-789`.

    Whatever topic calls the function: no other function of the project has its name in its region.
    """
    return re.fullmatch(rf"eventarc-{re.escape(region)}-{re.escape(function)}-\d+-sub-\d+", subscription) is not None


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _wanted(change: Change) -> Subscription:
    if not isinstance(change.wanted, Subscription):
        raise TypeError(change)
    return change.wanted
