"""Acknowledged messages: seek, snapshots, and the removal of what nothing needs any more."""

from __future__ import annotations

import math
from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from infra.emulators.clock import Alarm, Clock
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.messages import Message
from infra.emulators.pubsub.resources.configs import seconds
from infra.emulators.pubsub.state import SNAPSHOT_SECONDS, Snapshot, Subscription

# Seconds between removals; the shortest retention.
_INTERVAL = 600.0


class History:
    """The messages of the database that no queue may hold any more."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._state = broker.state
        self._journal = broker.journal
        self._alarm = Alarm(clock, self.collect)

    def close(self) -> None:
        """Stop the periodic removal."""
        self._alarm.cancel()

    def collect(self) -> None:
        """Remove snapshots past their time, and messages that no subscription, topic or snapshot needs."""
        now = self._broker.now()
        for name, snapshot in list(self._state.snapshots.items()):
            if snapshot.config.expire_time.ToMicroseconds() <= now * 1e6:
                self.delete_snapshot(name)
        for (topic,) in list(self._journal.rows("SELECT DISTINCT topic FROM pubsub_messages")):
            history = self._state.history(topic)
            oldest = (now - history) * 1e6 if history else math.inf
            held = {message.id for each in self._state.subscriptions_of(topic) for message in each.queue}
            query = "SELECT id FROM pubsub_messages WHERE topic = ? AND published < ?"
            self._remove(number for (number,) in self._journal.rows(query, topic, oldest) if number not in held)
        if any(map(self._state.history, {each.topic for each in self._state.subscriptions.values()})) or any(
            self._state.history(each.id) for each in self._state.topics.values()
        ):
            self._alarm.set(now + _INTERVAL)

    async def seek_to_time(self, subscription: Subscription, time: Timestamp) -> None:
        """Unacknowledge the kept messages published since a time, and acknowledge all earlier ones."""
        micros = time.seconds * 1_000_000 + time.nanos // 1_000
        now = self._broker.now()
        unacknowledged = {message.id for message in subscription.queue}
        retentions = [self._state.topic_retention(subscription.topic)]
        if subscription.config.retain_acked_messages:
            retentions.append(seconds(subscription.config.message_retention_duration))
        oldest = (now - max(retentions)) * 1e6 if any(retentions) else math.inf
        query = "SELECT * FROM pubsub_messages WHERE topic = ? AND published >= ? ORDER BY id"
        wanted = [
            row
            for row in self._journal.rows(query, subscription.topic, micros)
            if row[0] in unacknowledged or row[2] >= oldest
        ]
        # Numbers of messages are times in microseconds, so a time in the future is also a number.
        await self._reset(subscription, wanted, micros if micros > now * 1e6 else 0)

    async def seek_to_snapshot(self, subscription: Subscription, snapshot: Snapshot) -> None:
        """Unacknowledge the messages of a snapshot and all later ones, and acknowledge all others."""
        query = """SELECT * FROM pubsub_messages WHERE topic = ? AND (id > ? OR id IN
            (SELECT message FROM pubsub_snapshot_messages WHERE snapshot = ?)) ORDER BY id"""
        wanted = list(self._journal.rows(query, snapshot.topic, snapshot.last, snapshot.id))
        await self._reset(subscription, wanted, 0)

    def create_snapshot(self, request: pb.CreateSnapshotRequest, subscription: Subscription) -> pb.Snapshot:
        """Store which messages of a subscription are unacknowledged now."""
        now = self._broker.now()
        oldest = min((message.published / 1e6 for message in subscription.queue), default=now)
        config = pb.Snapshot(name=request.name, topic=subscription.config.topic, labels=request.labels)
        config.expire_time.FromMicroseconds(int((oldest + SNAPSHOT_SECONDS) * 1e6))
        snapshot = Snapshot(self._broker.next_id(), subscription.topic, self._broker.last_id, config)
        data = config.SerializeToString()
        insert = "INSERT INTO pubsub_snapshots VALUES (?, ?, ?, ?)"
        self._journal.write(insert, snapshot.id, snapshot.topic, snapshot.last, data)
        for message in subscription.queue:
            self._journal.write("INSERT INTO pubsub_snapshot_messages VALUES (?, ?)", snapshot.id, message.id)
        self._journal.commit()
        self._state.snapshots[request.name] = snapshot
        self._alarm.set(now + _INTERVAL)
        return config

    def delete_snapshot(self, name: str) -> None:
        """Write that a snapshot is deleted."""
        snapshot = self._state.snapshots.pop(name)
        self._journal.write("DELETE FROM pubsub_snapshots WHERE id = ?", snapshot.id)
        self._journal.write("DELETE FROM pubsub_snapshot_messages WHERE snapshot = ?", snapshot.id)

    async def _reset(self, subscription: Subscription, rows: list[tuple[int, int, int, bytes]], start: int) -> None:
        """Let a subscription hold exactly the messages of some rows, and later ones from number `start` on."""
        messages = [self._message(subscription, row) for row in rows]
        removed = [delivery.message for delivery in subscription.queue.clear()]
        subscription.start = messages[0].id if messages else max(start, self._broker.next_id())
        update = "UPDATE pubsub_subscriptions SET start = ? WHERE id = ?"
        self._journal.write(update, subscription.start, subscription.id)
        self._journal.write("DELETE FROM pubsub_deliveries WHERE subscription = ?", subscription.id)
        wanted = {message.id for message in messages}
        query = "SELECT id FROM pubsub_messages WHERE topic = ? AND id >= ?"
        for (number,) in list(self._journal.rows(query, subscription.topic, subscription.start)):
            if number not in wanted:
                self._journal.write("INSERT INTO pubsub_deliveries VALUES (?, ?, 0, 1)", number, subscription.id)
        for message in removed:
            message.holders -= 1
        for message in messages:
            if subscription.wants(message) and subscription.queue.add(message):
                message.holders += 1
        if not self._state.history(subscription.topic):
            self._remove(message.id for message in removed if not message.holders)
        subscription.watch()
        await self._journal.committed()

    def _message(self, subscription: Subscription, row: tuple[int, int, int, bytes]) -> Message:
        """Return the message of a row: the object that other queues hold, if there is one."""
        for each in self._state.subscriptions_of(subscription.topic):
            delivery = each.queue.find(row[0])
            if delivery is not None:
                return delivery.message
        return Message(*row)

    def _remove(self, numbers: Iterable[int]) -> None:
        unused = list(numbers)
        for number in unused:
            self._journal.write("DELETE FROM pubsub_messages WHERE id = ?", number)
        for number in unused:
            self._journal.write("DELETE FROM pubsub_deliveries WHERE message = ?", number)
