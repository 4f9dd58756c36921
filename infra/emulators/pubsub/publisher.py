"""The gRPC service google.pubsub.v1.Publisher."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from infra.emulators import rpc
from infra.emulators.errors import ApiError
from infra.emulators.pages import page
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.delivery.push import Pushers
from infra.emulators.pubsub.history import History
from infra.emulators.pubsub.messages import check_messages
from infra.emulators.pubsub.resources.configs import MUTABLE_TOPIC_FIELDS, complete_topic
from infra.emulators.pubsub.resources.names import DELETED_TOPIC, check_name, check_project, update
from infra.emulators.pubsub.state import Topic

_SERVICE = "google.pubsub.v1.Publisher"


class Publisher:
    """The methods of the service."""

    def __init__(self, broker: Broker, history: History, pushers: Pushers) -> None:
        self._broker = broker
        self._state = broker.state
        self._journal = broker.journal
        self._history = history
        self._pushers = pushers

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler for a grpc.aio server."""
        methods = {
            "CreateTopic": rpc.unary(pb.Topic, self.create_topic),
            "UpdateTopic": rpc.unary(pb.UpdateTopicRequest, self.update_topic),
            "GetTopic": rpc.unary(pb.GetTopicRequest, self.get_topic),
            "ListTopics": rpc.unary(pb.ListTopicsRequest, self.list_topics),
            "ListTopicSubscriptions": rpc.unary(pb.ListTopicSubscriptionsRequest, self.list_topic_subscriptions),
            "ListTopicSnapshots": rpc.unary(pb.ListTopicSnapshotsRequest, self.list_topic_snapshots),
            "DeleteTopic": rpc.unary(pb.DeleteTopicRequest, self.delete_topic),
            "DetachSubscription": rpc.unary(pb.DetachSubscriptionRequest, self.detach_subscription),
            "Publish": rpc.unary(pb.PublishRequest, self.publish),
        }
        return rpc.service(_SERVICE, methods)

    def create_topic(self, request: pb.Topic) -> pb.Topic:
        """Store a new topic."""
        config = complete_topic(request)
        if config.name in self._state.topics:
            raise ApiError(grpc.StatusCode.ALREADY_EXISTS, f"Topic already exists: {config.name}")
        topic = Topic(self._broker.next_id(), config)
        self._journal.write("INSERT INTO pubsub_topics VALUES (?, ?)", topic.id, config.SerializeToString())
        self._journal.commit()
        self._state.topics[config.name] = topic
        return config

    def update_topic(self, request: pb.UpdateTopicRequest) -> pb.Topic:
        """Update the fields of the mask."""
        topic = self._topic(request.topic.name)
        config = complete_topic(update(topic.config, request.topic, request.update_mask, MUTABLE_TOPIC_FIELDS))
        self._journal.write("UPDATE pubsub_topics SET config = ? WHERE id = ?", config.SerializeToString(), topic.id)
        self._journal.commit()
        topic.config = config
        self._history.collect()
        return config

    def get_topic(self, request: pb.GetTopicRequest) -> pb.Topic:
        """Return a topic."""
        return self._topic(request.topic).config

    def list_topics(self, request: pb.ListTopicsRequest) -> pb.ListTopicsResponse:
        """Return the topics of a project."""
        prefix = f"{check_project(request.project)}/"
        names = (name for name in self._state.topics if name.startswith(prefix))
        some, token = page(names, request.page_size, request.page_token)
        return pb.ListTopicsResponse(topics=[self._state.topics[name].config for name in some], next_page_token=token)

    def list_topic_subscriptions(self, request: pb.ListTopicSubscriptionsRequest) -> pb.ListTopicSubscriptionsResponse:
        """Return the names of the subscriptions of a topic, except detached ones."""
        topic = self._topic(request.topic)
        names = (each.config.name for each in self._state.subscriptions_of(topic.id) if not each.config.detached)
        some, token = page(names, request.page_size, request.page_token)
        return pb.ListTopicSubscriptionsResponse(subscriptions=some, next_page_token=token)

    def list_topic_snapshots(self, request: pb.ListTopicSnapshotsRequest) -> pb.ListTopicSnapshotsResponse:
        """Return the names of the snapshots of a topic."""
        topic = self._topic(request.topic)
        names = (name for name, snapshot in self._state.snapshots.items() if snapshot.topic == topic.id)
        some, token = page(names, request.page_size, request.page_token)
        return pb.ListTopicSnapshotsResponse(snapshots=some, next_page_token=token)

    def delete_topic(self, request: pb.DeleteTopicRequest) -> Empty:
        """Delete a topic; its subscriptions keep their messages."""
        topic = self._topic(request.topic)
        self._journal.write("DELETE FROM pubsub_topics WHERE id = ?", topic.id)
        changed = [
            (each, _changed(each.config, topic=DELETED_TOPIC)) for each in self._state.subscriptions_of(topic.id)
        ]
        for subscription, config in changed:
            self._write(subscription.id, config)
        self._journal.commit()
        del self._state.topics[request.topic]
        for subscription, config in changed:
            subscription.config = config
        self._history.collect()
        return Empty()

    def detach_subscription(self, request: pb.DetachSubscriptionRequest) -> pb.DetachSubscriptionResponse:
        """Drop the messages of a subscription and give it no more."""
        subscription = self._broker.subscription(check_name("subscriptions", request.subscription))
        config = _changed(subscription.config, detached=True)
        self._write(subscription.id, config)
        self._journal.commit()
        subscription.config = config
        self._broker.forget(subscription, [delivery.message for delivery in subscription.queue.close()])
        self._pushers.update(subscription)
        return pb.DetachSubscriptionResponse()

    async def publish(self, request: pb.PublishRequest) -> pb.PublishResponse:
        """Store messages and return their IDs."""
        check_name("topics", request.topic)
        check_messages(request)
        topic = self._state.topic(request.topic)
        return pb.PublishResponse(message_ids=await self._broker.publish(topic, request.messages))

    def _topic(self, name: str) -> Topic:
        return self._state.topic(check_name("topics", name))

    def _write(self, number: int, config: pb.Subscription) -> None:
        update_config = "UPDATE pubsub_subscriptions SET config = ? WHERE id = ?"
        self._journal.write(update_config, config.SerializeToString(), number)


def _changed(config: pb.Subscription, **fields: Any) -> pb.Subscription:
    """Return a copy of a subscription with other values in some fields."""
    changed = pb.Subscription()
    changed.CopyFrom(config)
    changed.MergeFrom(pb.Subscription(**fields))
    return changed
