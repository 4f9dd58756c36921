"""What is asked of Pub/Sub and Bigtable fits together and stays within what they allow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.cloud.bigtable_admin_v2.types import GcRule

from infra.provision import _subscription, _table
from infra.resources import RESOURCES, Subscription

SUBSCRIPTIONS = {each.name: each for each in RESOURCES.subscriptions}
TABLES = {each.name: each for each in RESOURCES.tables}


def test_every_topic_has_a_subscription_and_every_name_is_declared() -> None:
    """A topic without a subscription loses what is published to it."""
    assert {each.topic for each in RESOURCES.subscriptions} == set(RESOURCES.topics)
    assert {each.dead_letter for each in RESOURCES.subscriptions if each.dead_letter} <= set(RESOURCES.topics)


@pytest.mark.parametrize("wanted", RESOURCES.subscriptions, ids=lambda each: each.name)
def test_subscriptions_stay_within_the_limits_of_pubsub(wanted: Subscription) -> None:
    """https://cloud.google.com/pubsub/docs/subscription-properties."""
    assert timedelta(seconds=10) <= wanted.ack_deadline <= timedelta(seconds=600)
    assert timedelta(minutes=10) <= wanted.retention <= timedelta(days=31)
    assert timedelta(0) <= wanted.minimum_backoff <= wanted.maximum_backoff <= timedelta(seconds=600)
    assert 5 <= wanted.attempts <= 100


def test_what_cant_be_delivered_goes_to_the_dead_letters() -> None:
    message = _subscription("projects/p", SUBSCRIPTIONS["events-ingest"], emulated=False)

    assert message.name == "projects/p/subscriptions/events-ingest"
    assert message.dead_letter_policy.dead_letter_topic == "projects/p/topics/events-dead-letter"
    assert message.dead_letter_policy.max_delivery_attempts == 100
    assert (message.ack_deadline_seconds, message.retry_policy.minimum_backoff) == (600, timedelta(seconds=10))


def test_an_outage_of_hours_dead_letters_nothing() -> None:
    wanted = SUBSCRIPTIONS["events-ingest"]
    pauses = [
        min(wanted.minimum_backoff * 2 ** min(number, 9), wanted.maximum_backoff)
        for number in range(wanted.attempts - 1)
    ]

    assert sum(pauses, timedelta(0)) == timedelta(hours=15, minutes=40, seconds=30)
    assert sum(pauses, timedelta(0)) < wanted.retention


def test_dead_letters_are_kept_for_31_days_by_a_subscription_that_never_expires() -> None:
    message = _subscription("projects/p", SUBSCRIPTIONS["events-dead-letter-keep"], emulated=False)

    assert message.message_retention_duration == timedelta(days=31)
    assert "expiration_policy" in message
    assert "ttl" not in message.expiration_policy
    assert "dead_letter_policy" not in message


def test_on_a_laptop_the_second_delivery_comes_sooner() -> None:
    hurried = RESOURCES.hurried(backoff=(timedelta(seconds=1), timedelta(seconds=9)), lease=timedelta(seconds=60))
    by_name = {each.name: each for each in hurried.subscriptions}
    message = _subscription("projects/p", by_name["aggregate-run"], emulated=True)

    assert message.retry_policy.minimum_backoff == timedelta(seconds=1)
    assert message.retry_policy.maximum_backoff == timedelta(seconds=9)
    assert message.ack_deadline_seconds == 60
    assert by_name["events-ingest"].attempts == 100
    assert "expiration_policy" not in message


@pytest.mark.parametrize("name", ["events", "rejected"])
def test_a_days_writes_spread_over_64_tablets_from_the_start(name: str) -> None:
    keys = [split.key for split in _table("i", TABLES[name]).initial_splits]

    # 63 keys make 64 tablets: what is below the first key is the range of 00.
    assert keys == [b"%02x#" % shard for shard in range(1, 64)]


def test_only_rejected_rows_are_collected_by_age() -> None:
    """Cell time is event time: by age, a backfill of old events would vanish."""
    rules = {
        (table.name, family): column.gc_rule
        for table in RESOURCES.tables
        for family, column in _table("i", table).table.column_families.items()
    }

    assert {place for place, rule in rules.items() if "max_age" in rule} == {("rejected", "r")}
    assert rules["rejected", "r"].max_age == timedelta(days=30)
    one_version = {place for place, rule in rules.items() if "max_num_versions" in rule}
    assert one_version == {("events", "e"), ("events", "f"), ("state", "s")}
    # Versions are kept on purpose until a run has swept them.
    assert rules["aggregates", "a"] == GcRule()
