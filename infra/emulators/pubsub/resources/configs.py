"""Validation of topics and subscriptions.

Source of the limits: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions
"""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from infra.emulators.errors import ApiError, invalid
from infra.emulators.protos.pubsub_pb2 import Subscription, Topic
from infra.emulators.pubsub.resources.filters import parse_filter
from infra.emulators.pubsub.resources.names import DELETED_TOPIC, check_labels, check_name

_MINUTE, _DAY = 60, 86_400
_RETENTION = (10 * _MINUTE, 31 * _DAY)
_DEFAULT_RETENTION = 7 * _DAY
_ACK_DEADLINE = (10, 600)
_BACKOFF = (0, 600)
_DEFAULT_BACKOFF = (10, 600)
_ATTEMPTS = (5, 100)
_DEFAULT_TTL = 31 * _DAY
_ENDPOINT = re.compile(r"https?://[^/\s?#]+\S*")

MUTABLE_TOPIC_FIELDS = frozenset({"labels", "message_retention_duration", "message_storage_policy", "kms_key_name"})
MUTABLE_SUBSCRIPTION_FIELDS = frozenset(
    {
        "ack_deadline_seconds",
        "dead_letter_policy",
        "enable_exactly_once_delivery",
        "expiration_policy",
        "labels",
        "message_retention_duration",
        "push_config",
        "retain_acked_messages",
        "retry_policy",
    }
)
_UNSUPPORTED_TOPIC_FIELDS = ("schema_settings", "ingestion_data_source_settings", "message_transforms")
_UNSUPPORTED_SUBSCRIPTION_FIELDS = ("bigquery_config", "cloud_storage_config", "bigtable_config", "message_transforms")


def seconds(duration: Any) -> float:
    """Return the seconds of a protobuf duration."""
    return float(duration.seconds + duration.nanos / 1e9)


def complete_topic(topic: Topic) -> Topic:
    """Return a topic as the API stores it; raises ApiError if it is invalid."""
    _refuse(topic, _UNSUPPORTED_TOPIC_FIELDS)
    complete = Topic()
    complete.CopyFrom(topic)
    complete.ClearField("state")
    check_name("topics", topic.name)
    check_labels(topic.labels)
    if topic.HasField("message_retention_duration"):
        _check_seconds("message_retention_duration", topic.message_retention_duration, _RETENTION)
    return complete


def complete_subscription(subscription: Subscription) -> Subscription:
    """Return a subscription with the defaults of the API; raises ApiError if it is invalid.

    A policy for messages that no receiver accepts is checked here, except whether its topic exists.
    """
    _refuse(subscription, _UNSUPPORTED_SUBSCRIPTION_FIELDS)
    complete = Subscription()
    complete.CopyFrom(subscription)
    for output_only in ("state", "topic_message_retention_duration", "analytics_hub_subscription_info"):
        complete.ClearField(output_only)
    check_name("subscriptions", complete.name)
    if complete.topic != DELETED_TOPIC:
        check_name("topics", complete.topic)
    check_labels(complete.labels)
    parse_filter(complete.filter)
    complete.ack_deadline_seconds = complete.ack_deadline_seconds or _ACK_DEADLINE[0]
    _check_number("ack_deadline_seconds", complete.ack_deadline_seconds, _ACK_DEADLINE)
    if not complete.HasField("message_retention_duration"):
        complete.message_retention_duration.seconds = _DEFAULT_RETENTION
    _check_seconds("message_retention_duration", complete.message_retention_duration, _RETENTION)
    _complete_expiration(complete)
    _complete_retries(complete)
    if complete.HasField("dead_letter_policy"):
        _complete_dead_letters(complete.dead_letter_policy)
    endpoint = complete.push_config.push_endpoint
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        raise invalid(f"Unsupported push_endpoint: found {endpoint!r}, expected a URL with http or https")
    complete.push_config.SetInParent()
    return complete


def _complete_expiration(subscription: Any) -> None:
    if not subscription.HasField("expiration_policy"):
        subscription.expiration_policy.ttl.seconds = _DEFAULT_TTL
    policy = subscription.expiration_policy
    if not policy.HasField("ttl"):
        return  # never expires
    retention = seconds(subscription.message_retention_duration)
    if seconds(policy.ttl) < max(_DAY, retention):
        raise invalid(
            f"expiration_policy.ttl: found {seconds(policy.ttl):g} s, expected at least a day and the "
            f"message_retention_duration, {retention:g} s"
        )


def _complete_retries(subscription: Any) -> None:
    if not subscription.HasField("retry_policy"):
        return
    policy = subscription.retry_policy
    for field, default in zip(("minimum_backoff", "maximum_backoff"), _DEFAULT_BACKOFF, strict=True):
        if not policy.HasField(field):
            getattr(policy, field).seconds = default
        _check_seconds(field, getattr(policy, field), _BACKOFF)
    if seconds(policy.minimum_backoff) > seconds(policy.maximum_backoff):
        raise invalid(
            f"maximum_backoff: found {seconds(policy.maximum_backoff):g} s, expected at least the minimum_backoff, "
            f"{seconds(policy.minimum_backoff):g} s"
        )


def _complete_dead_letters(policy: Any) -> None:
    check_name("topics", policy.dead_letter_topic)
    policy.max_delivery_attempts = policy.max_delivery_attempts or _ATTEMPTS[0]
    least, most = _ATTEMPTS
    if not least <= policy.max_delivery_attempts <= most:
        text = f"max_delivery_attempts: found {policy.max_delivery_attempts}, expected {least} to {most}"
        raise ApiError(grpc.StatusCode.OUT_OF_RANGE, text)


def _refuse(config: Any, fields: tuple[str, ...]) -> None:
    given = {field.name for field, _ in config.ListFields()}
    for field in fields:
        if field in given:
            raise ApiError(grpc.StatusCode.UNIMPLEMENTED, f"{field}: the emulator doesn't support this field")


def _check_seconds(field: str, duration: Duration, limits: tuple[int, int]) -> None:
    _check_number(field, seconds(duration), limits, " s")


def _check_number(field: str, value: float, limits: tuple[int, int], unit: str = "") -> None:
    least, most = limits
    if not least <= value <= most:
        raise invalid(f"{field} is out of bounds: found {value:.10g}{unit}, expected {least} to {most}{unit}")
