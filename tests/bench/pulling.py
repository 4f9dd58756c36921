"""Pull back what is published, and count it: the topic's side of `counting`."""

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
from tests.bench.counting import compare

# https://cloud.google.com/pubsub/pricing: a message is its data, its attributes' names and values, its id and 20 bytes
# of time; a request of less than 1,000 bytes is billed as 1,000. Push, as Eventarc does, has a request a message.
_TIME, _LEAST = 20, 1_000

# Pulls without a message, a second or two each, after which no more is thought to come.
_WHILE_MISSING, _WHEN_COMPLETE = 15, 2


class _Event(msgspec.Struct):
    event_id: str


@dataclass(slots=True)
class Published:
    """What was published.

    Attributes:
        messages: each is one invocation of a function.
        events: in them.
        payload: bytes of the events themselves.
        billed: bytes that Pub/Sub bills for their delivery.
    """

    messages: int = 0
    events: int = 0
    payload: int = 0
    billed: int = 0


def expect_messages(settings: Settings, ids: Iterable[str]) -> Published:
    """Hold the messages of the topic to the ids that were sent, each in one of them; Wrong if it isn't so."""
    sent = list(ids)
    found: list[str] = []
    known: set[str] = set()
    published = Published()
    decode = msgspec.json.Decoder(_Event).decode
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(str(settings.pubsub_emulator), options=options) as channel:
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        name = f"projects/{settings.project_id}/subscriptions/events-ingest"
        waits = 0
        while waits < (_WHILE_MISSING if len(found) < len(sent) else _WHEN_COMPLETE):
            try:
                response = subscriber.pull(subscription=name, max_messages=1_000, timeout=2, retry=None)
            except DeadlineExceeded:
                response = PullResponse()
            waits = 0 if response.received_messages else waits + 1
            for received in response.received_messages:
                message = received.message
                if message.message_id in known:  # delivered again
                    continue
                known.add(message.message_id)
                events = message.data.split(b"\n")
                found += [decode(event).event_id for event in events]
                attributes = sum(len(key) + len(value) for key, value in message.attributes.items())
                published.messages += 1
                published.events += len(events)
                published.payload += sum(map(len, events))
                published.billed += max(len(message.data) + attributes + len(message.message_id) + _TIME, _LEAST)
            acknowledge = [received.ack_id for received in response.received_messages]
            if acknowledge:
                subscriber.acknowledge(subscription=name, ack_ids=acknowledge, timeout=60)
    compare(found, sent)
    return published
