"""HTTP requests of push subscriptions (https://cloud.google.com/pubsub/docs/push)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.delivery.deliveries import Delivery
from infra.emulators.pubsub.delivery.push_body import push_body

_JSON = {"Content-Type": "application/json"}
_METADATA = "x-goog-pubsub-"


def push_request(config: pb.Subscription, delivery: Delivery) -> tuple[Mapping[str, str], bytes]:
    """Return the headers and the body of the request for a message."""
    message = pb.PubsubMessage.FromString(delivery.message.content)
    attempt = delivery.failures + 1 if config.HasField("dead_letter_policy") else 0
    if config.push_config.WhichOneof("wrapper") == "no_wrapper":
        return _unwrapped(config, message, attempt)
    return _JSON, push_body(message, config.name, attempt)


def _unwrapped(config: pb.Subscription, message: Any, attempt: int) -> tuple[Mapping[str, str], bytes]:
    """Return the data of a message, and its attributes and metadata as headers if the subscription says so."""
    if not config.push_config.no_wrapper.write_metadata:
        return {}, message.data
    metadata = {
        "subscription-name": config.name,
        "message-id": message.message_id,
        "publish-time": message.publish_time.ToJsonString(),
    }
    if message.ordering_key:
        metadata["ordering-key"] = message.ordering_key
    if attempt:
        metadata["delivery-attempt"] = str(attempt)
    headers = {f"{_METADATA}{key}": value for key, value in metadata.items()}
    return {**message.attributes, **headers}, message.data
