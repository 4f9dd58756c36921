"""The broker: stores messages, puts them into the queues of subscriptions and forwards dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from infra.emulators.clock import Alarm, Clock
from infra.emulators.errors import ApiError
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.delivery.deliveries import Delivery
from infra.emulators.pubsub.delivery.queue import Queue
from infra.emulators.pubsub.journal import Journal
from infra.emulators.pubsub.messages import Message, stamp
from infra.emulators.pubsub.resources.names import project_of
from infra.emulators.pubsub.state import State, Subscription, Topic

_PREFIX = "CloudPubSubDeadLetterSource"
_INSERT_MESSAGE = "INSERT INTO pubsub_messages VALUES (?, ?, ?, ?)"
_DELETE_MESSAGE = "DELETE FROM pubsub_messages WHERE id = ?"
_DELETE_DELIVERIES = "DELETE FROM pubsub_deliveries WHERE message = ?"
_ACKNOWLEDGE = (
    "INSERT INTO pubsub_deliveries VALUES (?, ?, 0, 1) "
    "ON CONFLICT (message, subscription) DO UPDATE SET acknowledged = 1"
)
_FAIL = (
    "INSERT INTO pubsub_deliveries VALUES (?, ?, ?, 0) "
    "ON CONFLICT (message, subscription) DO UPDATE SET failures = excluded.failures"
)


class Broker:
    """Messages and their queues. A change is in the database before the method that makes it returns."""

    def __init__(self, journal: Journal, state: State, clock: Clock) -> None:
        self.journal = journal
        self.state = state
        self._clock = clock
        self._last = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        return self._clock.now().timestamp()

    def next_id(self) -> int:
        """Return a new number of a message or a resource; numbers increase, also over restarts."""
        self._last = max(self._last + 1, int(self.now() * 1e6))
        return self._last

    @property
    def last_id(self) -> int:
        """The number returned last."""
        return self._last

    def subscription(self, name: str) -> Subscription:
        """Return the subscription of an operation, which counts as activity; raises ApiError if it doesn't exist."""
        subscription = self.state.subscription(name)
        subscription.active = self.now()
        return subscription

    def attach(self, subscription: Subscription) -> None:
        """Give a subscription its queue; it counts as active now, also after a restart."""
        subscription.active = self.now()
        subscription.queue = Queue(
            subscription.policy(), lambda delivery: self._failed(subscription, delivery), first_serial=self.next_id()
        )
        subscription.alarm = Alarm(self._clock, lambda: self.tick(subscription))

    def tick(self, subscription: Subscription) -> None:
        """Handle ended leases and expired messages of a subscription."""
        expired = subscription.queue.tick(self.now())
        self.forget(subscription, [delivery.message for delivery in expired])
        subscription.watch()

    def restore(self, last: int) -> None:
        """Fill the queues from the database.

        Args:
            last: the highest number in the database.
        """
        self._last = last
        settled: set[tuple[int, int]] = set()
        failures: dict[tuple[int, int], int] = {}
        for message, subscription, failed, acknowledged in self.journal.rows("SELECT * FROM pubsub_deliveries"):
            failures[message, subscription] = failed
            if acknowledged:
                settled.add((message, subscription))
        for row in self.journal.rows("SELECT * FROM pubsub_messages ORDER BY id"):
            restored = Message(*row)
            for each in self.state.subscriptions.values():
                key = (restored.id, each.id)
                if key not in settled and each.wants(restored) and each.queue.add(restored, failures.get(key, 0)):
                    restored.holders += 1
        for each in self.state.subscriptions.values():
            each.watch()

    def close(self) -> None:
        """Stop all alarms and tasks."""
        for subscription in self.state.subscriptions.values():
            subscription.alarm.cancel()
            subscription.queue.close()
        for task in self._tasks:
            task.cancel()

    async def publish(self, topic: Topic, contents: Iterable[Any]) -> list[str]:
        """Store messages (of protobuf) and put them into the queues; return their IDs."""
        messages, receivers = self._store(topic, contents)
        await self.journal.committed()
        self._deliver(messages, receivers)
        return [str(message.id) for message in messages]

    async def acknowledge(self, subscription: Subscription, deliveries: Sequence[Delivery]) -> None:
        """Settle deliveries; if that can't be stored, they are given again."""
        for delivery in deliveries:
            subscription.queue.settle(delivery)
        self.forget(subscription, [delivery.message for delivery in deliveries])
        try:
            await self.journal.committed()
        except ApiError:
            for delivery in deliveries:
                delivery.message.holders += 1
                subscription.queue.restore(delivery)
            raise

    def forget(self, subscription: Subscription, messages: Sequence[Message]) -> None:
        """Write that a subscription doesn't hold messages any more; delete those that nothing holds."""
        if not messages:
            return
        keep = self.state.history(subscription.topic) > 0
        unused = []
        for message in messages:
            message.holders -= 1
            if message.holders > 0 or keep:
                self.journal.write(_ACKNOWLEDGE, message.id, subscription.id)
            else:
                unused.append(message)
        for message in unused:
            self.journal.write(_DELETE_MESSAGE, message.id)
        for message in unused:
            self.journal.write(_DELETE_DELIVERIES, message.id)

    def _store(self, topic: Topic, contents: Iterable[Any]) -> tuple[list[Message], list[Subscription]]:
        published = int(self.now() * 1e6)
        receivers = self.state.subscriptions_of(topic.id)
        keep = self.state.history(topic.id) > 0
        messages = [stamp(content, self.next_id(), topic.id, published) for content in contents]
        for message in messages:
            message.holders = sum(each.wants(message) for each in receivers)
            if message.holders or keep:
                self.journal.write(_INSERT_MESSAGE, message.id, topic.id, published, message.content)
        return messages, receivers

    def _deliver(self, messages: Iterable[Message], receivers: Iterable[Subscription]) -> None:
        for subscription in receivers:
            if subscription.queue.closed:
                continue  # deleted during the commit
            for message in messages:
                if subscription.wants(message):
                    subscription.queue.add(message)
            subscription.watch()

    def _failed(self, subscription: Subscription, delivery: Delivery) -> bool:
        """Count a failure in the database, and forward the message if it has too many."""
        max_attempts = subscription.max_attempts()
        if max_attempts is None:
            return False
        self.journal.write(_FAIL, delivery.message.id, subscription.id, delivery.failures)
        if delivery.failures < max_attempts:
            return False
        task = asyncio.get_running_loop().create_task(self._forward(subscription, delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _forward(self, subscription: Subscription, delivery: Delivery) -> None:
        """Publish a message to the dead letter topic and acknowledge it, in one transaction."""
        topic = self.state.topics.get(subscription.config.dead_letter_policy.dead_letter_topic)
        if topic is None:
            subscription.queue.retry(delivery, self.now())
            subscription.watch()
            return
        content = _dead_letter(subscription, delivery)
        messages, receivers = self._store(topic, [content])
        try:
            await self.acknowledge(subscription, [delivery])
        except ApiError:
            return
        self._deliver(messages, receivers)


def _dead_letter(subscription: Subscription, delivery: Delivery) -> pb.PubsubMessage:
    """Return the message for the dead letter topic (https://cloud.google.com/pubsub/docs/handling-failures)."""
    content = pb.PubsubMessage()
    content.ParseFromString(delivery.message.content)
    content.attributes[f"{_PREFIX}DeliveryCount"] = str(delivery.failures)
    content.attributes[f"{_PREFIX}Subscription"] = subscription.config.name.rsplit("/", 1)[1]
    content.attributes[f"{_PREFIX}SubscriptionProject"] = project_of(subscription.config.name)
    content.attributes[f"{_PREFIX}TopicPublishTime"] = content.publish_time.ToJsonString()
    return content
