"""The method StreamingPull of google.pubsub.v1.Subscriber."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import grpc

from infra.emulators import rpc
from infra.emulators.errors import invalid
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.delivery.deliveries import Consumer
from infra.emulators.pubsub.delivery.leases import MAX_RESPONSE_BYTES, Leases, check_deadline
from infra.emulators.pubsub.state import Subscription

_DEADLINE = (10, 600)
# Messages in one response.
_MAX_BATCH = 500
_UNLIMITED = 1 << 62


class Streams:
    """Serves streams of messages."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """Return the handlers of the methods."""
        return {"StreamingPull": rpc.bidirectional_stream(pb.StreamingPullRequest, self.streaming_pull)}

    async def streaming_pull(
        self, requests: AsyncIterator[pb.StreamingPullRequest]
    ) -> AsyncIterator[pb.StreamingPullResponse]:
        """Yield messages while the client has less than it asked for, and settle those that it names."""
        first = await anext(requests, None)
        if first is None:
            return
        least, most = _DEADLINE
        if not least <= first.stream_ack_deadline_seconds <= most:
            found = first.stream_ack_deadline_seconds
            raise invalid(f"stream_ack_deadline_seconds: found {found}, expected {least} to {most}")
        stream = _Stream(self._leases, self._leases.subscription(first.subscription), first)
        with self._leases.streaming(stream.subscription):
            async with contextlib.aclosing(stream.responses(requests)) as responses:
                async for response in responses:
                    yield response


class _Stream:
    """One stream.

    The client's limits hold for messages that it has neither settled nor lost to the end of their lease.
    """

    def __init__(self, leases: Leases, subscription: Subscription, first: pb.StreamingPullRequest) -> None:
        self._leases = leases
        self.subscription = subscription
        self._consumer = Consumer()
        self._max_messages = first.max_outstanding_messages if first.max_outstanding_messages > 0 else _UNLIMITED
        self._max_bytes = first.max_outstanding_bytes if first.max_outstanding_bytes > 0 else _UNLIMITED
        self._deadline = first.stream_ack_deadline_seconds
        self._first = first
        self._confirmations: list[pb.StreamingPullResponse] = []

    async def responses(
        self, requests: AsyncIterator[pb.StreamingPullRequest]
    ) -> AsyncGenerator[pb.StreamingPullResponse, None]:
        """Yield confirmations and messages until the client ends its requests and nothing is left to give."""
        queue, consumer = self.subscription.queue, self._consumer
        reader = asyncio.create_task(self._read(requests))
        reader.add_done_callback(lambda _: consumer.woken.set())
        try:
            while not queue.closed:
                consumer.woken.clear()
                queue.leave(consumer)
                while self._confirmations:
                    yield self._confirmations.pop(0)
                taken = self._take()
                if taken is not None:
                    yield taken
                    continue
                if reader.done():
                    reader.result()  # raises the error of a request
                    return
                if self._has_room():
                    queue.enlist(consumer)
                await consumer.woken.wait()
            self._leases.subscription(self.subscription.config.name)  # raises why the queue is closed
        finally:
            reader.cancel()
            queue.leave(consumer)

    def _has_room(self) -> bool:
        return self._consumer.messages < self._max_messages and self._consumer.bytes < self._max_bytes

    def _take(self) -> pb.StreamingPullResponse | None:
        if not self._has_room():
            return None
        limit = min(_MAX_BATCH, self._max_messages - self._consumer.messages)
        size = min(MAX_RESPONSE_BYTES, self._max_bytes - self._consumer.bytes)
        taken = self._leases.take(self.subscription, self._consumer, limit, size, self._deadline)
        if not taken:
            return None
        config = self.subscription.config
        return pb.StreamingPullResponse(
            received_messages=self._leases.received(self.subscription, taken),
            subscription_properties=pb.StreamingPullResponse.SubscriptionProperties(
                exactly_once_delivery_enabled=config.enable_exactly_once_delivery,
                message_ordering_enabled=config.enable_message_ordering,
            ),
        )

    async def _read(self, requests: AsyncIterator[pb.StreamingPullRequest]) -> None:
        """Handle the first and all other requests."""
        await self._handle(self._first)
        async for request in requests:
            await self._handle(request)

    async def _handle(self, request: pb.StreamingPullRequest) -> None:
        if request.stream_ack_deadline_seconds:
            self._deadline = request.stream_ack_deadline_seconds
        if len(request.modify_deadline_seconds) != len(request.modify_deadline_ack_ids):
            raise invalid(
                f"modify_deadline_seconds: found {len(request.modify_deadline_seconds)} values, expected "
                f"{len(request.modify_deadline_ack_ids)}, one for each of modify_deadline_ack_ids"
            )
        exactly_once = self.subscription.config.enable_exactly_once_delivery
        if request.ack_ids:
            failed = await self._leases.settle(self.subscription, request.ack_ids)
            if exactly_once:
                response = pb.StreamingPullResponse()
                valid = [ack_id for ack_id in request.ack_ids if ack_id not in failed]
                response.acknowledge_confirmation.ack_ids.extend(valid)
                response.acknowledge_confirmation.invalid_ack_ids.extend(failed)
                self._confirm(response)
        if request.modify_deadline_ack_ids:
            for seconds in request.modify_deadline_seconds:
                check_deadline(seconds)
            deadlines = dict(zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True))
            failed = await self._leases.extend(self.subscription, deadlines)
            if exactly_once:
                response = pb.StreamingPullResponse()
                valid = [ack_id for ack_id in deadlines if ack_id not in failed]
                response.modify_ack_deadline_confirmation.ack_ids.extend(valid)
                response.modify_ack_deadline_confirmation.invalid_ack_ids.extend(failed)
                self._confirm(response)

    def _confirm(self, response: pb.StreamingPullResponse) -> None:
        self._confirmations.append(response)
        self._consumer.woken.set()
