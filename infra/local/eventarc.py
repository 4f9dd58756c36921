"""The CloudEvent that Eventarc makes of a Pub/Sub message. Pure."""

from __future__ import annotations

import base64
from typing import Any

import msgspec


def cloud_event(received: Any, subscription: str, source: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a CloudEvent in binary mode.

    Args:
        received: a protobuf `ReceivedMessage`.
        subscription: full name of the subscription of the message.
        source: `ce-source`, which names the topic.
    """
    message = received.message
    published = message.publish_time.ToJsonString()
    content: dict[str, Any] = {
        "data": base64.b64encode(message.data).decode(),
        "attributes": dict(message.attributes),
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published,
        "publish_time": published,
    }
    if message.ordering_key:
        content["orderingKey"] = message.ordering_key
    body: dict[str, Any] = {"message": content, "subscription": subscription}
    if received.delivery_attempt:
        body["deliveryAttempt"] = received.delivery_attempt
    headers = {
        "ce-id": message.message_id,
        "ce-source": source,
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-time": published,
        "content-type": "application/json",
    }
    return headers, msgspec.json.encode(body)
