"""A gRPC service beside Pub/Sub's own: the last messages that a subscription has pushed, for the console."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import grpc

from infra.emulators import rpc
from infra.emulators.errors import not_found
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.messages import Message

SERVICE = "sluice.emulators.Inspector"
METHOD = "LastPushed"


class Inspector:
    """The methods of the service."""

    def __init__(self, last_pushed: Mapping[str, deque[Message]]) -> None:
        """Prepare; `last_pushed` has messages by the full name of their subscription, oldest first."""
        self._last_pushed = last_pushed

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the service for a grpc.aio server."""
        return rpc.service(SERVICE, {METHOD: rpc.unary(pb.GetSubscriptionRequest, self.last_pushed)})

    def last_pushed(self, request: pb.GetSubscriptionRequest) -> pb.PullResponse:
        """Return the last acknowledged messages of a push subscription, newest first; nothing is leased."""
        if request.subscription not in self._last_pushed:
            raise not_found(f"Push subscription does not exist: {request.subscription}")
        messages = reversed(self._last_pushed[request.subscription])
        return pb.PullResponse(received_messages=[pb.ReceivedMessage(message=each.content) for each in messages])
