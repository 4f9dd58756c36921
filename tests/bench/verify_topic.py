"""Verification of what a run published: pulls the messages and compares their events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import grpc
import msgspec
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PullResponse

from shared.config import Settings
from tests.bench.verify_tables import compare_ids

# https://cloud.google.com/pubsub/pricing: a message is billed as its data, the names and values of its attributes, its
# id and 20 bytes of time, and a request as at least 1,000 bytes. A push subscription has one request per message.
_TIME_BYTES, _MIN_REQUEST_BYTES = 20, 1_000

# Consecutive pulls without a message, a second or two each, after which the topic counts as empty.
_EMPTY_PULLS_WHILE_MISSING, _EMPTY_PULLS_WHEN_COMPLETE = 15, 2


class _Event(msgspec.Struct):
    event_id: str


@dataclass(slots=True)
class Published:
    """The published messages.

    Attributes:
        messages: number of messages; each is one invocation of a function.
        events: number of their events.
        payload: bytes of the events.
        billed: bytes that Pub/Sub bills for the delivery.
    """

    messages: int = 0
    events: int = 0
    payload: int = 0
    billed: int = 0


def verify_messages(settings: Settings, ids: Iterable[str]) -> Published:
    """Verify that the messages of the topic have each id exactly once; MeasurementError otherwise."""
    sent = list(ids)
    found: list[str] = []
    known: set[str] = set()
    published = Published()
    decode = msgspec.json.Decoder(_Event).decode
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(str(settings.pubsub_emulator), options=options) as channel:
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        name = f"projects/{settings.project_id}/subscriptions/events-ingest"
        empty_pulls = 0
        while empty_pulls < (_EMPTY_PULLS_WHILE_MISSING if len(found) < len(sent) else _EMPTY_PULLS_WHEN_COMPLETE):
            try:
                response = subscriber.pull(subscription=name, max_messages=1_000, timeout=2, retry=None)
            except DeadlineExceeded:
                response = PullResponse()
            empty_pulls = 0 if response.received_messages else empty_pulls + 1
            for received in response.received_messages:
                message = received.message
                if message.message_id in known:  # a second delivery
                    continue
                known.add(message.message_id)
                events = message.data.split(b"\n")
                found += [decode(event).event_id for event in events]
                attributes = sum(len(key) + len(value) for key, value in message.attributes.items())
                published.messages += 1
                published.events += len(events)
                published.payload += sum(map(len, events))
                published.billed += max(
                    len(message.data) + attributes + len(message.message_id) + _TIME_BYTES, _MIN_REQUEST_BYTES
                )
            acknowledge = [received.ack_id for received in response.received_messages]
            if acknowledge:
                subscriber.acknowledge(subscription=name, ack_ids=acknowledge, timeout=60)
    compare_ids(found, sent)
    return published
