"""The declared resources are consistent and within the limits of Pub/Sub and Bigtable."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.cloud.bigtable_admin_v2.types import GcRule

from infra.deploy.iam import ACCOUNTS, GRANTS
from infra.provision.bigtable import gc_rule, table_message
from infra.provision.pubsub import PubSub
from infra.provision.resource_types import GcRule as Rule
from infra.provision.resource_types import Subscription, Table
from infra.provision.resources import LOCAL, RESOURCES
from infra.provision.scheduler_client import job_message
from shared.config import Settings

PUBSUB = PubSub(Settings("p", "i"), RESOURCES, None, None)
SUBSCRIPTIONS = {each.name: each for each in RESOURCES.subscriptions}
TABLES = {each.name: each for each in RESOURCES.tables}


def test_every_topic_has_a_subscription_and_every_name_is_declared() -> None:
    """A topic without a subscription drops its messages."""
    assert {each.topic for each in RESOURCES.subscriptions} == set(RESOURCES.topics)
    assert {each.dead_letter for each in RESOURCES.subscriptions if each.dead_letter} <= set(RESOURCES.topics)


@pytest.mark.parametrize("wanted", RESOURCES.subscriptions, ids=lambda each: each.name)
def test_subscriptions_stay_within_the_limits_of_pubsub(wanted: Subscription) -> None:
    """https://cloud.google.com/pubsub/docs/subscription-properties."""
    assert timedelta(seconds=10) <= wanted.ack_deadline <= timedelta(seconds=600)
    assert timedelta(minutes=10) <= wanted.retention <= timedelta(days=31)
    assert timedelta(0) <= wanted.minimum_backoff <= wanted.maximum_backoff <= timedelta(seconds=600)
    assert 5 <= wanted.attempts <= 100


def test_ingest_has_a_dead_letter_topic() -> None:
    message = PUBSUB.subscription_message(SUBSCRIPTIONS["events-ingest"])

    assert message.name == "projects/p/subscriptions/events-ingest"
    assert message.dead_letter_policy.dead_letter_topic == "projects/p/topics/events-dead-letter"
    assert message.dead_letter_policy.max_delivery_attempts == 100
    assert (message.ack_deadline_seconds, message.retry_policy.minimum_backoff) == (600, timedelta(seconds=10))


def test_an_outage_of_15_hours_creates_no_dead_letters() -> None:
    wanted = SUBSCRIPTIONS["events-ingest"]
    pauses = [
        min(wanted.minimum_backoff * 2 ** min(number, 9), wanted.maximum_backoff)
        for number in range(wanted.attempts - 1)
    ]

    assert sum(pauses, timedelta(0)) == timedelta(hours=15, minutes=40, seconds=30)
    assert sum(pauses, timedelta(0)) < wanted.retention


def test_dead_letters_are_kept_for_31_days_by_a_subscription_that_never_expires() -> None:
    message = PUBSUB.subscription_message(SUBSCRIPTIONS["events-dead-letter-keep"])

    assert message.message_retention_duration == timedelta(days=31)
    assert "expiration_policy" in message
    assert "ttl" not in message.expiration_policy
    assert "dead_letter_policy" not in message


def test_the_local_stack_redelivers_sooner() -> None:
    by_name = {each.name: each for each in LOCAL.subscriptions}
    message = PUBSUB.subscription_message(by_name["aggregate-run"])

    assert message.retry_policy.minimum_backoff == timedelta(seconds=1)
    assert message.retry_policy.maximum_backoff == timedelta(seconds=60)
    assert message.ack_deadline_seconds == 60
    assert by_name["events-ingest"].attempts == 100


@pytest.mark.parametrize("wanted", RESOURCES.subscriptions, ids=lambda each: each.name)
def test_no_subscription_expires(wanted: Subscription) -> None:
    message = PUBSUB.subscription_message(wanted)

    assert "expiration_policy" in message
    assert "ttl" not in message.expiration_policy


@pytest.mark.parametrize("name", ["events", "rejected"])
def test_tables_are_split_into_64_tablets(name: str) -> None:
    keys = [split.key for split in table_message("i", TABLES[name]).initial_splits]

    # 63 keys make 64 tablets; the range below the first key is that of 00.
    assert keys == [b"%02x#" % shard for shard in range(1, 64)]


def test_only_rejected_has_a_gc_rule_by_age() -> None:
    """Cell time is event time, so a GC rule by age would delete a backfill of old events."""
    rules = {
        (table.name, family): column.gc_rule
        for table in RESOURCES.tables
        for family, column in table_message("i", table).table.column_families.items()
    }

    assert {family for family, rule in rules.items() if "max_age" in rule} == {("rejected", "r")}
    assert rules["rejected", "r"].max_age == timedelta(days=30)
    one_version = {family for family, rule in rules.items() if "max_num_versions" in rule}
    assert one_version == {("events", "e"), ("events", "f"), ("state", "s")}
    # A run deletes the versions of other runs itself.
    assert rules["aggregates", "a"] == GcRule()


@pytest.mark.parametrize(
    "rule",
    [
        Rule(),
        Rule(versions=1),
        Rule(age=timedelta(days=30)),
        Rule(versions=1, age=timedelta(days=30)),
    ],
)
def test_a_gc_rule_is_read_as_it_was_written(rule: Rule) -> None:
    message = table_message("i", Table("t", {"a": rule})).table.column_families["a"].gc_rule

    assert gc_rule(message) == rule


def test_a_gc_rule_of_another_form_becomes_text() -> None:
    limits = [GcRule(max_num_versions=1), GcRule(max_age=timedelta(days=30))]

    assert gc_rule(GcRule(union=GcRule.Union(rules=limits[::-1]))) == Rule(versions=1, age=timedelta(days=30))
    assert gc_rule(GcRule(intersection=GcRule.Intersection(rules=limits))).other.startswith("intersection")
    assert gc_rule(GcRule(union=GcRule.Union(rules=[limits[0], limits[0]]))).other.startswith("union")
    assert gc_rule(GcRule(union=GcRule.Union(rules=[*limits, limits[0]]))).other.startswith("union")


def test_the_job_requests_all_due_days_every_night() -> None:
    [job] = RESOURCES.jobs
    message = job_message(Settings("p", "i", region="europe-west1"), job)

    assert message.name == "projects/p/locations/europe-west1/jobs/aggregate-daily"
    assert message.pubsub_target.topic_name == "projects/p/topics/aggregate-requests"
    # Pub/Sub rejects a message with neither data nor attributes.
    assert message.pubsub_target.data == b"{}"
    assert (message.schedule, message.time_zone) == ("0 1 * * *", "Etc/UTC")
    # https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#RetryConfig
    assert 0 <= message.retry_config.retry_count <= 5
    assert message.retry_config.max_doublings <= 16


def test_roles_refer_to_declared_accounts_and_resources() -> None:
    accounts = {account.name for account in ACCOUNTS}
    functions = {each.function for each in RESOURCES.subscriptions if each.function}
    names = {"topic": set(RESOURCES.topics), "table": set(TABLES), "service": functions, "project": {""}}

    assert {grant.account for grant in GRANTS if "@" not in grant.account} <= accounts
    assert [grant for grant in GRANTS if grant.resource not in names.get(grant.kind, {grant.resource})] == []
    # Least privilege: Bigtable roles are granted per table.
    assert {grant.kind for grant in GRANTS if grant.role.startswith("roles/bigtable")} == {"table"}
