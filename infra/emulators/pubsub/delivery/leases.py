"""Leases of messages: the methods Pull, Acknowledge and ModifyAckDeadline of google.pubsub.v1.Subscriber."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from infra.emulators import rpc
from infra.emulators.errors import ApiError, invalid
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.delivery.deliveries import Consumer, Delivery
from infra.emulators.pubsub.resources.names import check_name
from infra.emulators.pubsub.state import Subscription

# Seconds that a pull waits for a message.
_MAX_WAIT = 5.0
_MAX_PULL = 1_000
# Bytes of messages in one response, unless a single message is larger; gRPC clients accept 4 MiB by default, Google's
# accept more.
MAX_RESPONSE_BYTES = 3 << 20
_MAX_ACK_DEADLINE = 600
_ACK_ID = re.compile(r"([0-9a-f]+)-([0-9a-f]+)-([0-9a-f]+)")
_INVALID_ACK_ID = "PERMANENT_FAILURE_INVALID_ACK_ID"


class Leases:
    """Gives messages to clients and settles them by their acknowledgement IDs."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """Return the handlers of the methods."""
        return {
            "Pull": rpc.unary(pb.PullRequest, self.pull),
            "Acknowledge": rpc.unary(pb.AcknowledgeRequest, self.acknowledge),
            "ModifyAckDeadline": rpc.unary(pb.ModifyAckDeadlineRequest, self.modify_ack_deadline),
        }

    def subscription(self, name: str) -> Subscription:
        """Return a subscription; raises ApiError if it doesn't exist or is detached."""
        subscription = self._broker.subscription(check_name("subscriptions", name))
        if subscription.config.detached:
            raise ApiError(grpc.StatusCode.FAILED_PRECONDITION, f"Subscription is detached: {name}")
        return subscription

    @contextlib.contextmanager
    def streaming(self, subscription: Subscription) -> Iterator[None]:
        """Keep a subscription active inside a `with` block."""
        subscription.streams += 1
        try:
            yield
        finally:
            subscription.streams -= 1
            subscription.active = self._broker.now()

    async def pull(self, request: pb.PullRequest) -> pb.PullResponse:
        """Return messages; wait for the first one unless the request says to return immediately."""
        subscription = self.subscription(request.subscription)
        if request.max_messages <= 0:
            raise invalid(f"No max_messages specified: found {request.max_messages}, expected a positive number")
        consumer = Consumer()
        limit = min(request.max_messages, _MAX_PULL)
        taken = self.take(subscription, consumer, limit)
        if not taken and not request.return_immediately:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MAX_WAIT):
                    taken = await self._wait(subscription, consumer, limit)
        return pb.PullResponse(received_messages=self.received(subscription, taken))

    async def acknowledge(self, request: pb.AcknowledgeRequest) -> Empty:
        """Settle messages."""
        subscription = self.subscription(request.subscription)
        self._raise_failed(await self.settle(subscription, request.ack_ids))
        return Empty()

    async def modify_ack_deadline(self, request: pb.ModifyAckDeadlineRequest) -> Empty:
        """Extend leases; zero seconds end them."""
        subscription = self.subscription(request.subscription)
        check_deadline(request.ack_deadline_seconds)
        deadlines = dict.fromkeys(request.ack_ids, request.ack_deadline_seconds)
        self._raise_failed(await self.extend(subscription, deadlines))
        return Empty()

    def take(
        self, subscription: Subscription, consumer: Consumer, limit: int, size: int = MAX_RESPONSE_BYTES, lease: int = 0
    ) -> list[Delivery]:
        """Lease messages to a consumer, by default for the ack deadline of the subscription."""
        lease = lease or subscription.config.ack_deadline_seconds
        taken = subscription.queue.take(consumer, limit, size, self._broker.now(), lease)
        subscription.watch()
        return taken

    def received(self, subscription: Subscription, deliveries: Iterable[Delivery]) -> list[pb.ReceivedMessage]:
        """Return the messages of deliveries for a response."""
        counted = subscription.max_attempts() is not None
        return [
            pb.ReceivedMessage(
                ack_id=f"{subscription.id:x}-{delivery.message.id:x}-{delivery.serial:x}",
                message=delivery.message.content,
                delivery_attempt=delivery.failures + 1 if counted else 0,
            )
            for delivery in deliveries
        ]

    async def settle(self, subscription: Subscription, ack_ids: Collection[str]) -> list[str]:
        """Acknowledge messages and return the IDs whose lease has ended, if that matters to the subscription."""
        found, failed = self._find(subscription, ack_ids)
        await self._broker.acknowledge(subscription, list(dict.fromkeys(found.values())))
        subscription.watch()
        return failed

    async def extend(self, subscription: Subscription, deadlines: Mapping[str, int]) -> list[str]:
        """Set ack deadlines by ID, in seconds from now; else like `settle`."""
        found, failed = self._find(subscription, deadlines, leased=True)
        now = self._broker.now()
        for ack_id, delivery in found.items():
            if deadlines[ack_id]:
                subscription.queue.extend(delivery, now + deadlines[ack_id])
            else:
                subscription.queue.fail(delivery, now)
        subscription.watch()
        await self._broker.journal.committed()
        return failed

    def _find(
        self, subscription: Subscription, ack_ids: Collection[str], *, leased: bool = False
    ) -> tuple[dict[str, Delivery], list[str]]:
        """Return the unsettled deliveries by ID, and the IDs that an exactly-once subscription refuses.

        Without exactly-once delivery, an ID also works after its lease has ended, except for a new deadline.
        """
        if not ack_ids:
            raise invalid("No ack ids specified: found none, expected at least one")
        exactly_once = subscription.config.enable_exactly_once_delivery
        deliveries: dict[str, Delivery] = {}
        failed = []
        for ack_id in ack_ids:
            parts = _ACK_ID.fullmatch(ack_id)
            if parts is None or int(parts[1], 16) != subscription.id:
                raise invalid(f"Invalid ack id (ack_id={ack_id}), expected one of a message of this subscription")
            serial = int(parts[3], 16) if leased or exactly_once else None
            delivery = subscription.queue.find(int(parts[2], 16), serial)
            if delivery is not None:
                deliveries[ack_id] = delivery
            elif exactly_once:
                failed.append(ack_id)
        return deliveries, failed

    async def _wait(self, subscription: Subscription, consumer: Consumer, limit: int) -> list[Delivery]:
        try:
            while not (taken := self.take(subscription, consumer, limit)):
                if subscription.queue.closed:
                    self.subscription(subscription.config.name)
                    return []
                consumer.woken.clear()
                subscription.queue.enlist(consumer)
                await consumer.woken.wait()
            return taken
        finally:
            subscription.queue.leave(consumer)

    def _raise_failed(self, failed: list[str]) -> None:
        if not failed:
            return
        text = f"{len(failed)} acknowledgement IDs are invalid or their lease has ended"
        info = AnyMessage()
        info.Pack(
            ErrorInfo(
                reason=_INVALID_ACK_ID,
                domain="pubsub.googleapis.com",
                metadata=dict.fromkeys(failed, _INVALID_ACK_ID),
            )
        )
        code = grpc.StatusCode.FAILED_PRECONDITION
        status = Status(code=code.value[0], message=text, details=[info])
        raise ApiError(code, text, status.SerializeToString())


def check_deadline(seconds: int) -> None:
    """Raise ApiError unless a new ack deadline is valid."""
    if not 0 <= seconds <= _MAX_ACK_DEADLINE:
        raise invalid(f"ack_deadline_seconds: found {seconds}, expected 0 to {_MAX_ACK_DEADLINE}")
