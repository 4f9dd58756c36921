"""The emulator of Pub/Sub: its database, its gRPC services and its background work."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

import grpc

from infra.emulators.clock import Clock, SystemClock
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.delivery.push import Pushers
from infra.emulators.pubsub.history import History
from infra.emulators.pubsub.inspector import Inspector
from infra.emulators.pubsub.journal import Journal
from infra.emulators.pubsub.publisher import Publisher
from infra.emulators.pubsub.state import Snapshot, State, Subscription, Topic
from infra.emulators.pubsub.subscriber import Subscriber

_LAST = """SELECT MAX(id) FROM (
  SELECT MAX(id) AS id FROM pubsub_messages UNION SELECT MAX(message) FROM pubsub_deliveries
  UNION SELECT MAX(id) FROM pubsub_topics UNION SELECT MAX(id) FROM pubsub_snapshots
  UNION SELECT MAX(id) FROM pubsub_subscriptions UNION SELECT MAX(start) FROM pubsub_subscriptions WHERE start <= ?)"""


class PubSubService:
    """Pub/Sub for the clients of one grpc.aio server.

    Args:
        database: keeps everything; its tables are made if they don't exist.
        clock: the time of leases, backoffs and retention.
        push_limits: the most push requests in flight, by the full name of a subscription.
        forget_endpoints: IDs of subscriptions whose stored push endpoints are of an earlier run. `start` removes them.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        clock: Clock | None = None,
        push_limits: Mapping[str, int] | None = None,
        forget_endpoints: Collection[str] = (),
    ) -> None:
        clock = clock or SystemClock()
        self._forget_endpoints = forget_endpoints
        self._state = State()
        self._journal = Journal(database)
        self._broker = Broker(self._journal, self._state, clock)
        self._history = History(self._broker, clock)
        self._pushers = Pushers(self._broker, clock, push_limits or {})
        self._publisher = Publisher(self._broker, self._history, self._pushers)
        self._subscriber = Subscriber(self._broker, self._history, self._pushers, clock)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers of the services."""
        return [self._publisher.handler(), self._subscriber.handler(), Inspector(self._pushers.last_pushed).handler()]

    async def start(self) -> None:
        """Restore what the database has; call it before the server starts."""
        for number, config in self._journal.rows("SELECT id, config FROM pubsub_topics"):
            topic = Topic(number, pb.Topic.FromString(config))
            self._state.topics[topic.config.name] = topic
        for number, of_topic, start, config in self._journal.rows("SELECT * FROM pubsub_subscriptions"):
            subscription = Subscription(number, of_topic, start, pb.Subscription.FromString(config))
            if subscription.config.name.rsplit("/", 1)[1] in self._forget_endpoints:
                subscription.config.push_config.ClearField("push_endpoint")
            self._state.subscriptions[subscription.config.name] = subscription
            self._broker.attach(subscription)
        for number, of_topic, last, config in self._journal.rows("SELECT * FROM pubsub_snapshots"):
            snapshot = Snapshot(number, of_topic, last, pb.Snapshot.FromString(config))
            self._state.snapshots[snapshot.config.name] = snapshot
        ((last,),) = self._journal.rows(_LAST, int(self._broker.now() * 1e6))
        self._broker.restore(last or 0)
        self._history.collect()
        self._subscriber.start()

    async def close(self) -> None:
        """Write everything and stop all background work; the database stays open."""
        self._subscriber.close()
        self._history.close()
        await self._pushers.close()
        self._broker.close()
        self._journal.flush()

    def delivery_counts(self) -> dict[str, dict[str, int]]:
        """Return counts of each subscription that is pushed or holds messages, by its name.

        These are the counts of `Pushers` since the start, and the messages `unacknowledged` now.
        """
        found = {name: dict(counts) for name, counts in self._pushers.counts.items()}
        for name, subscription in self._state.subscriptions.items():
            if name in found or len(subscription.queue):
                found.setdefault(name, {})["unacknowledged"] = len(subscription.queue)
        return found

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish a message from this process.

        Raises:
            ApiError: the topic doesn't exist, or the message is invalid.
        """
        message = pb.PubsubMessage(data=data, attributes=attributes)
        await self._publisher.publish(pb.PublishRequest(topic=topic, messages=[message]))
