"""Topics, subscriptions and snapshots in memory, restored from the database at the start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.emulators.clock import Alarm
from infra.emulators.errors import not_found
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.delivery.queue import Policy, Queue
from infra.emulators.pubsub.messages import Message
from infra.emulators.pubsub.resources.configs import seconds
from infra.emulators.pubsub.resources.filters import parse_filter


@dataclass(eq=False, slots=True)
class Topic:
    """A topic and its number."""

    id: int
    config: pb.Topic


@dataclass(eq=False, slots=True)
class Snapshot:
    """The unacknowledged messages of a subscription at one time.

    Attributes:
        topic: number of the topic.
        last: number of the last message before the snapshot; all later ones belong to it.
    """

    id: int
    topic: int
    last: int
    config: pb.Snapshot


class Subscription:
    """A subscription with its queue.

    Attributes:
        topic: number of the topic.
        start: number of the first message that it gets.
        alarm: rings when the queue has something to do.
        active: the last time, in seconds since 1970, at which a client or a push used the subscription.
        streams: number of open streams.
        config: the protobuf message.
    """

    def __init__(self, number: int, topic: int, start: int, config: pb.Subscription) -> None:
        self.id, self.topic, self.start, self.config = number, topic, start, config
        self._filter = parse_filter(config.filter)
        self.queue: Queue
        self.alarm: Alarm
        self.active = 0.0
        self.streams = 0

    def wants(self, message: Message) -> bool:
        """Return whether the subscription gets a message."""
        if self.config.detached or message.topic != self.topic or message.id < self.start:
            return False
        return self._filter is None or self._filter(message.attributes)

    def policy(self) -> Policy:
        """Return the settings of the queue."""
        retries = self.config.retry_policy if self.config.HasField("retry_policy") else None
        return Policy(
            ordered=self.config.enable_message_ordering,
            retention=seconds(self.config.message_retention_duration),
            backoff=retries and (seconds(retries.minimum_backoff), seconds(retries.maximum_backoff)),
        )

    def max_attempts(self) -> int | None:
        """Return after how many failures a message goes to the dead letter topic; None for never."""
        found = self.config.HasField("dead_letter_policy")
        return self.config.dead_letter_policy.max_delivery_attempts if found else None

    def expires(self) -> float | None:
        """Return when the subscription expires if nothing uses it until then; None for never."""
        policy = self.config.expiration_policy
        return self.active + seconds(policy.ttl) if policy.HasField("ttl") else None

    def watch(self) -> None:
        """Set the alarm to the next event of the queue."""
        self.alarm.set(self.queue.next_event())


@dataclass(eq=False, slots=True)
class State:
    """All resources by name."""

    topics: dict[str, Topic] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)

    def topic(self, name: str) -> Topic:
        """Return a topic; raises ApiError with NOT_FOUND if it doesn't exist."""
        try:
            return self.topics[name]
        except KeyError:
            raise not_found(f"Topic not found: {name}") from None

    def subscription(self, name: str) -> Subscription:
        """Return a subscription; raises ApiError with NOT_FOUND if it doesn't exist."""
        try:
            return self.subscriptions[name]
        except KeyError:
            raise not_found(f"Subscription does not exist: {name}") from None

    def snapshot(self, name: str) -> Snapshot:
        """Return a snapshot; raises ApiError with NOT_FOUND if it doesn't exist."""
        try:
            return self.snapshots[name]
        except KeyError:
            raise not_found(f"Snapshot does not exist: {name}") from None

    def subscriptions_of(self, topic: int) -> list[Subscription]:
        """Return the subscriptions of a topic."""
        return [each for each in self.subscriptions.values() if each.topic == topic]

    def topic_retention(self, topic: int) -> float:
        """Return for how many seconds a topic keeps all messages; 0 if it doesn't."""
        found = (seconds(each.config.message_retention_duration) for each in self.topics.values() if each.id == topic)
        return next(found, 0.0)

    def history(self, topic: int) -> float:
        """Return for how many seconds the acknowledged messages of a topic may be needed; 0 if they aren't."""
        retentions: Iterable[float] = (
            seconds(each.config.message_retention_duration)
            for each in self.subscriptions_of(topic)
            if each.config.retain_acked_messages
        )
        snapshots = any(each.topic == topic for each in self.snapshots.values())
        return max(self.topic_retention(topic), *retentions, SNAPSHOT_SECONDS if snapshots else 0.0, 0.0)


# https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.snapshots
SNAPSHOT_SECONDS = 7 * 86_400.0
