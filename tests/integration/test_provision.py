"""Provisioning makes what is declared, once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from infra.provision import _bigtable, _pubsub, provision
from shared.config import Settings
from shared.errors import StoreUnavailableError


def test_everything_is_made_once(empty_instance: Settings) -> None:
    made = provision(empty_instance)

    assert made == [
        "topic events",
        "topic events-dead-letter",
        "topic aggregate-requests",
        "subscription events-ingest of topic events",
        "subscription events-dead-letter-keep of topic events-dead-letter",
        "subscription aggregate-run of topic aggregate-requests",
        "table events with families e, f split at 63 keys",
        "table rejected with families r split at 63 keys",
        "table aggregates with families a",
        "table state with families s",
    ]
    assert provision(empty_instance) == []


def test_tables_and_subscriptions_are_as_declared(empty_instance: Settings) -> None:
    provision(empty_instance)
    project = f"projects/{empty_instance.project_id}"

    with _bigtable(empty_instance) as admin:
        name = f"{project}/instances/{empty_instance.instance_id}/tables"
        families = {
            table: admin.get_table(name=f"{name}/{table}").column_families
            for table in ("events", "rejected", "aggregates", "state")
        }
    assert {table: sorted(each) for table, each in families.items()} == {
        "events": ["e", "f"],
        "rejected": ["r"],
        "aggregates": ["a"],
        "state": ["s"],
    }
    assert families["events"]["e"].gc_rule.max_num_versions == 1
    assert families["rejected"]["r"].gc_rule.max_age == timedelta(days=30)
    assert not families["aggregates"]["a"].gc_rule

    with _pubsub(empty_instance) as (_, subscriber):
        ingest = subscriber.get_subscription(subscription=f"{project}/subscriptions/events-ingest")
        keep = subscriber.get_subscription(subscription=f"{project}/subscriptions/events-dead-letter-keep")
    assert ingest.ack_deadline_seconds == 600
    assert ingest.message_retention_duration == timedelta(days=7)
    assert ingest.retry_policy.minimum_backoff == timedelta(seconds=10)
    assert ingest.dead_letter_policy.max_delivery_attempts == 100
    assert ingest.dead_letter_policy.dead_letter_topic == f"{project}/topics/events-dead-letter"
    assert keep.topic == f"{project}/topics/events-dead-letter"


def test_a_service_that_doesnt_answer_is_named(empty_instance: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from infra.processes import free_port

    monkeypatch.setattr("infra.provision._TIMEOUT", 0.2)
    nowhere = replace(empty_instance, pubsub_emulator=f"127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError, match="topic events: the service doesn't answer"):
        provision(nowhere)
