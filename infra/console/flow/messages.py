"""The last messages of a running stack, each with the verdict on its events and their findings."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import NamedTuple

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc

from infra.console.text import shown
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.inspector import METHOD, SERVICE
from shared.config import Settings
from shared.contracts.model import Contract
from shared.ingest.pipeline import reject_message
from shared.pubsub.message import FIRST_PUBLISHED, Message, UnpackError, first_valid_time, unpack
from shared.validation.results import Accepted, Finding, Rejected
from shared.validation.validator import Validator

_TIMEOUT = 2.0  # seconds
# Of each message; the first events and bytes suffice, and the page stays small.
_MAX_EVENTS, _MAX_FINDINGS, _MAX_SHOWN_BYTES = 100, 3, 200
_SUBSCRIPTION = "events-ingest"


class LastMessage(NamedTuple):
    """A message and the verdict on its events.

    Attributes:
        verdict: the numbers of events accepted, rejected and left out.
        findings: the first of its events.
        more_findings: the number of the others.
        event: the beginning of the first event.
    """

    message_id: str
    published: datetime
    verdict: str
    findings: list[Finding]
    more_findings: int
    event: str


class LastMessages:
    """Reads the last messages that the embedded Pub/Sub pushed, and validates their events again.

    A verdict depends only on the event, the contract and the time of publication, so it is that of the function.
    """

    def __init__(self, settings: Settings, contract: Contract) -> None:
        """Prepare; the first read connects."""
        self._address = settings.pubsub_emulator
        name = f"projects/{settings.project_id}/subscriptions/{settings.resource(_SUBSCRIPTION)}"
        self._request = pb.GetSubscriptionRequest(subscription=name)
        self._validator = Validator(contract)
        self._channel: grpc.aio.Channel | None = None

    async def read(self) -> list[LastMessage] | None:
        """Return the last messages, newest first; None where Pub/Sub doesn't have them, as Google's emulator."""
        if self._address is None:
            return None
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._address)
        call = self._channel.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=pb.GetSubscriptionRequest.SerializeToString,
            response_deserializer=pb.PullResponse.FromString,
        )
        try:
            response = await call(self._request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError:
            return None
        # In a thread: unpacking and validating large messages would hold up other requests.
        return await asyncio.to_thread(self._validate, [each.message for each in response.received_messages])

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()

    def _validate(self, messages: list[bytes]) -> list[LastMessage]:
        return [last_message(self._validator, pb.PubsubMessage.FromString(message)) for message in messages]


def last_message(validator: Validator, pushed: pb.PubsubMessage) -> LastMessage:
    """Return a message with the verdict on its first events."""
    attributes = dict(pushed.attributes)
    published = first_valid_time(attributes.get(FIRST_PUBLISHED), pushed.publish_time.ToJsonString())
    message = Message(pushed.data, pushed.message_id, published, attributes)
    events = [message.data]
    try:
        events = unpack(message)
        verdicts = validator.validate_all(events[:_MAX_EVENTS], published)
    except UnpackError as error:
        verdicts = [reject_message(validator, message, error)]
    rejected = [verdict for verdict in verdicts if type(verdict) is Rejected]
    warned = [verdict for verdict in verdicts if type(verdict) is Accepted and verdict.warnings]
    findings = [each for verdict in rejected for each in verdict.findings]
    findings += [each for verdict in warned for each in verdict.warnings]
    counts = {
        "accepted": len(verdicts) - len(rejected),
        "rejected": len(rejected),
        "not validated here": len(events) - len(verdicts),
    }
    return LastMessage(
        message_id=pushed.message_id,
        published=published,
        verdict=", ".join(f"{count:,} {name}" for name, count in counts.items() if count),
        findings=findings[:_MAX_FINDINGS],
        more_findings=len(findings[_MAX_FINDINGS:]),
        event=shown(events[0] if events else b"", _MAX_SHOWN_BYTES),
    )
