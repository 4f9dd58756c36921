"""The body of a Pub/Sub push (https://cloud.google.com/pubsub/docs/push#receive_push). Pure."""

from __future__ import annotations

import base64
from typing import Any

import msgspec


def push_body(received: Any, subscription: str) -> bytes:
    """Return the JSON that Pub/Sub pushes for a message.

    Args:
        received: a protobuf `ReceivedMessage`.
        subscription: the full name of its subscription.
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
    return msgspec.json.encode(body)
