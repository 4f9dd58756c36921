"""The gRPC service google.pubsub.v1.Subscriber: subscriptions and snapshots."""

from __future__ import annotations

import grpc
from google.protobuf.empty_pb2 import Empty

from infra.emulators import rpc
from infra.emulators.clock import Clock
from infra.emulators.errors import ApiError, invalid, not_found
from infra.emulators.pages import page
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.delivery.leases import Leases
from infra.emulators.pubsub.delivery.push import Pushers
from infra.emulators.pubsub.delivery.streams import Streams
from infra.emulators.pubsub.expiration import Expiration
from infra.emulators.pubsub.history import History
from infra.emulators.pubsub.resources.configs import MUTABLE_SUBSCRIPTION_FIELDS, complete_subscription
from infra.emulators.pubsub.resources.names import check_labels, check_name, check_project, update
from infra.emulators.pubsub.state import Snapshot, Subscription

_SERVICE = "google.pubsub.v1.Subscriber"


class Subscriber:
    """The methods for subscriptions and snapshots."""

    def __init__(self, broker: Broker, history: History, pushers: Pushers, clock: Clock) -> None:
        self._broker = broker
        self._state = broker.state
        self._journal = broker.journal
        self._history = history
        self._pushers = pushers
        self._leases = Leases(broker)
        self._expiration = Expiration(broker, clock, self._delete)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the whole service for a grpc.aio server."""
        methods = {
            "CreateSubscription": rpc.unary(pb.Subscription, self.create_subscription),
            "GetSubscription": rpc.unary(pb.GetSubscriptionRequest, self.get_subscription),
            "UpdateSubscription": rpc.unary(pb.UpdateSubscriptionRequest, self.update_subscription),
            "ListSubscriptions": rpc.unary(pb.ListSubscriptionsRequest, self.list_subscriptions),
            "DeleteSubscription": rpc.unary(pb.DeleteSubscriptionRequest, self.delete_subscription),
            "ModifyPushConfig": rpc.unary(pb.ModifyPushConfigRequest, self.modify_push_config),
            "CreateSnapshot": rpc.unary(pb.CreateSnapshotRequest, self.create_snapshot),
            "GetSnapshot": rpc.unary(pb.GetSnapshotRequest, self.get_snapshot),
            "UpdateSnapshot": rpc.unary(pb.UpdateSnapshotRequest, self.update_snapshot),
            "ListSnapshots": rpc.unary(pb.ListSnapshotsRequest, self.list_snapshots),
            "DeleteSnapshot": rpc.unary(pb.DeleteSnapshotRequest, self.delete_snapshot),
            "Seek": rpc.unary(pb.SeekRequest, self.seek),
            **self._leases.methods(),
            **Streams(self._leases).methods(),
        }
        return rpc.service(_SERVICE, methods)

    def start(self) -> None:
        """Watch the restored subscriptions."""
        for subscription in self._state.subscriptions.values():
            self._pushers.update(subscription)
        self._expiration.watch()

    def close(self) -> None:
        """Stop watching."""
        self._expiration.close()

    def create_subscription(self, request: pb.Subscription) -> pb.Subscription:
        """Store a new subscription, which gets all messages published from now on."""
        config = complete_subscription(request)
        config.ClearField("detached")
        if config.topic not in self._state.topics:
            raise not_found(f"Subscription topic does not exist: {config.topic}")
        self._check_dead_letter_topic(config)
        if config.name in self._state.subscriptions:
            raise ApiError(grpc.StatusCode.ALREADY_EXISTS, f"Subscription already exists: {config.name}")
        number = self._broker.next_id()
        subscription = Subscription(number, self._state.topic(config.topic).id, number, config)
        insert = "INSERT INTO pubsub_subscriptions VALUES (?, ?, ?, ?)"
        data = config.SerializeToString()
        self._journal.write(insert, number, subscription.topic, subscription.start, data)
        self._journal.commit()
        self._broker.attach(subscription)
        self._state.subscriptions[config.name] = subscription
        self._history.collect()
        self._pushers.update(subscription)
        self._expiration.watch()
        return self._view(subscription)

    def get_subscription(self, request: pb.GetSubscriptionRequest) -> pb.Subscription:
        """Return a subscription."""
        return self._view(self._subscription(request.subscription))

    def update_subscription(self, request: pb.UpdateSubscriptionRequest) -> pb.Subscription:
        """Update the fields of the mask."""
        changes = request.subscription
        subscription = self._subscription(changes.name)
        config = update(subscription.config, changes, request.update_mask, MUTABLE_SUBSCRIPTION_FIELDS)
        config = complete_subscription(config)
        self._check_dead_letter_topic(config)
        return self._replace(subscription, config)

    def list_subscriptions(self, request: pb.ListSubscriptionsRequest) -> pb.ListSubscriptionsResponse:
        """Return the subscriptions of a project."""
        prefix = f"{check_project(request.project)}/"
        names = (name for name in self._state.subscriptions if name.startswith(prefix))
        some, token = page(names, request.page_size, request.page_token)
        found = [self._view(self._state.subscriptions[name]) for name in some]
        return pb.ListSubscriptionsResponse(subscriptions=found, next_page_token=token)

    def delete_subscription(self, request: pb.DeleteSubscriptionRequest) -> Empty:
        """Delete a subscription and the messages that only it holds."""
        self._delete(self._subscription(request.subscription))
        return Empty()

    def modify_push_config(self, request: pb.ModifyPushConfigRequest) -> Empty:
        """Set or remove the push endpoint."""
        subscription = self._subscription(request.subscription)
        config = pb.Subscription()
        config.CopyFrom(subscription.config)
        config.push_config.CopyFrom(request.push_config)
        self._replace(subscription, complete_subscription(config))
        return Empty()

    def create_snapshot(self, request: pb.CreateSnapshotRequest) -> pb.Snapshot:
        """Store a snapshot of a subscription."""
        check_name("snapshots", request.name)
        check_labels(request.labels)
        subscription = self._subscription(request.subscription)
        if request.name in self._state.snapshots:
            raise ApiError(grpc.StatusCode.ALREADY_EXISTS, f"Snapshot already exists: {request.name}")
        return self._history.create_snapshot(request, subscription)

    def get_snapshot(self, request: pb.GetSnapshotRequest) -> pb.Snapshot:
        """Return a snapshot."""
        return self._snapshot(request.snapshot).config

    def update_snapshot(self, request: pb.UpdateSnapshotRequest) -> pb.Snapshot:
        """Update the labels or the expiration time."""
        snapshot = self._snapshot(request.snapshot.name)
        config: pb.Snapshot = update(snapshot.config, request.snapshot, request.update_mask, ("labels", "expire_time"))
        check_labels(config.labels)
        data = config.SerializeToString()
        self._journal.write("UPDATE pubsub_snapshots SET config = ? WHERE id = ?", data, snapshot.id)
        self._journal.commit()
        snapshot.config = config
        return config

    def list_snapshots(self, request: pb.ListSnapshotsRequest) -> pb.ListSnapshotsResponse:
        """Return the snapshots of a project."""
        prefix = f"{check_project(request.project)}/"
        names = (name for name in self._state.snapshots if name.startswith(prefix))
        some, token = page(names, request.page_size, request.page_token)
        found = [self._state.snapshots[name].config for name in some]
        return pb.ListSnapshotsResponse(snapshots=found, next_page_token=token)

    def delete_snapshot(self, request: pb.DeleteSnapshotRequest) -> Empty:
        """Delete a snapshot and the messages that only it holds."""
        self._snapshot(request.snapshot)
        self._history.delete_snapshot(request.snapshot)
        self._history.collect()
        self._journal.commit()
        return Empty()

    async def seek(self, request: pb.SeekRequest) -> pb.SeekResponse:
        """Reset a subscription to a time or a snapshot."""
        subscription = self._leases.subscription(request.subscription)
        target = request.WhichOneof("target")
        if target is None:
            raise invalid("No target was specified in the SeekRequest: found none, expected a time or a snapshot")
        if target == "time":
            await self._history.seek_to_time(subscription, request.time)
            return pb.SeekResponse()
        snapshot = self._snapshot(request.snapshot)
        if snapshot.topic != subscription.topic:
            raise ApiError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{request.snapshot} is a snapshot of {snapshot.config.topic}, expected one of the subscription's "
                f"topic, {subscription.config.topic}",
            )
        await self._history.seek_to_snapshot(subscription, snapshot)
        return pb.SeekResponse()

    def _delete(self, subscription: Subscription) -> None:
        self._journal.write("DELETE FROM pubsub_subscriptions WHERE id = ?", subscription.id)
        self._journal.commit()
        del self._state.subscriptions[subscription.config.name]
        subscription.alarm.cancel()
        self._broker.forget(subscription, [delivery.message for delivery in subscription.queue.close()])
        self._journal.write("DELETE FROM pubsub_deliveries WHERE subscription = ?", subscription.id)
        self._pushers.remove(subscription)
        self._history.collect()

    def _replace(self, subscription: Subscription, config: pb.Subscription) -> pb.Subscription:
        """Store a new configuration."""
        update_config = "UPDATE pubsub_subscriptions SET config = ? WHERE id = ?"
        self._journal.write(update_config, config.SerializeToString(), subscription.id)
        self._journal.commit()
        subscription.config = config
        subscription.queue.policy = subscription.policy()
        self._history.collect()
        self._pushers.update(subscription)
        self._expiration.watch()
        subscription.watch()
        return self._view(subscription)

    def _check_dead_letter_topic(self, config: pb.Subscription) -> None:
        policy = config.dead_letter_policy
        if config.HasField("dead_letter_policy") and policy.dead_letter_topic not in self._state.topics:
            raise not_found(f"Dead letter topic not found: {policy.dead_letter_topic}")

    def _view(self, subscription: Subscription) -> pb.Subscription:
        """Return a subscription for a response, with the fields that the service sets."""
        view = pb.Subscription(state=pb.Subscription.ACTIVE)
        view.MergeFrom(subscription.config)
        retention = self._state.topic_retention(subscription.topic)
        if retention:
            view.topic_message_retention_duration.FromNanoseconds(int(retention * 1e9))
        return view

    def _subscription(self, name: str) -> Subscription:
        return self._broker.subscription(check_name("subscriptions", name))

    def _snapshot(self, name: str) -> Snapshot:
        return self._state.snapshot(check_name("snapshots", name))
