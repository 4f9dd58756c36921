"""`sluice doctor --subscription` looks at any subscription through Google's client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, RetryPolicy, Subscription

from infra.doctor.subscriptions import examine
from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.config import Settings
from shared.errors import SettingsError


def severities(settings: Settings, name: str) -> dict[str, str]:
    return {each.check: each.severity for each in examine(settings, [name]) if each.severity != "ok"}


def test_the_subscriptions_of_the_pipeline_are_sound(settings: Settings) -> None:
    provision_pubsub(settings, RESOURCES.with_push({"ingest": "http://127.0.0.1:1/"}))

    assert severities(settings, "events-ingest") == {}
    assert severities(settings, f"projects/{settings.project_id}/subscriptions/events-ingest") == {}


def test_the_subscription_of_an_eventarc_trigger_is_not(settings: Settings) -> None:
    project = f"projects/{settings.project_id}"
    with grpc.insecure_channel(str(settings.pubsub_emulator)) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        for name in ("orders", "orders-dead"):
            publisher.create_topic(name=f"{project}/topics/{name}")
        backoff = RetryPolicy(minimum_backoff=timedelta(seconds=10), maximum_backoff=timedelta(seconds=600))
        eventarc: dict[str, Any] = {
            "topic": f"{project}/topics/orders",
            "push_config": PushConfig(push_endpoint="http://127.0.0.1:1/"),
            "ack_deadline_seconds": 10,
            "message_retention_duration": timedelta(days=1),
            "retry_policy": backoff,
        }
        subscriber.create_subscription(Subscription(name=f"{project}/subscriptions/eventarc-orders", **eventarc))
        policy = DeadLetterPolicy(dead_letter_topic=f"{project}/topics/orders-dead", max_delivery_attempts=5)
        subscriber.create_subscription(
            Subscription(name=f"{project}/subscriptions/orders-run", **eventarc | {"dead_letter_policy": policy})
        )

        weak = {"ack deadline": "error", "retention": "warning"}
        assert severities(settings, "eventarc-orders") == weak | {"dead letters": "warning"}
        lost = weak | {"delivery attempts": "warning", "dead letters": "error"}
        assert severities(settings, "orders-run") == lost

        keep = Subscription(name=f"{project}/subscriptions/keep", topic=f"{project}/topics/orders-dead")
        keep.message_retention_duration = timedelta(days=1)
        subscriber.create_subscription(keep)
        kept = weak | {"delivery attempts": "warning", "dead-letter retention": "warning"}
        assert severities(settings, "orders-run") == kept

        publisher.delete_topic(topic=f"{project}/topics/orders")
        assert severities(settings, "eventarc-orders")["topic"] == "error"


def test_a_missing_subscription_is_an_error(settings: Settings) -> None:
    (found,) = examine(settings, ["none-here"])

    assert (found.severity, found.found) == ("error", "there is no such subscription")
    assert found.commands == (f"gcloud pubsub subscriptions list --project={settings.project_id}",)


def test_an_invalid_name_is_refused(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="expected projects/P/subscriptions/S, or a name alone"):
        list(examine(settings, ["projects/p/topics/t"]))
