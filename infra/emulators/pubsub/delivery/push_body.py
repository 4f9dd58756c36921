"""The JSON body of a Pub/Sub push (https://cloud.google.com/pubsub/docs/push#receive_push). Pure."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec


def push_body(message: Any, subscription: str, attempt: int) -> bytes:
    """Return the JSON that Pub/Sub pushes for a message.

    Args:
        message: a protobuf `PubsubMessage`.
        subscription: the full name of its subscription.
        attempt: the number of the delivery; 0 if the subscription has no dead-letter policy.
    """
    published = message.publish_time.ToJsonString()
    content: dict[str, Any] = {
        "data": b64encode(message.data).decode(),
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published,
        "publish_time": published,
    }
    if message.attributes:
        content["attributes"] = dict(message.attributes)
    if message.ordering_key:
        content["orderingKey"] = message.ordering_key
    body: dict[str, Any] = {"message": content, "subscription": subscription}
    if attempt:
        body["deliveryAttempt"] = attempt
    return msgspec.json.encode(body)
