"""Changes between declared and existing resources, and the data they lose."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra.provision.plan import (
    Change,
    ExistingJob,
    kept_ages,
    plan_job,
    plan_owned,
    plan_subscription,
    plan_table,
    plan_topics,
)
from infra.provision.resource_types import GcRule, Job, Subscription, Table
from infra.provision.resources import RESOURCES, RETENTION_TABLES

SUBSCRIPTION = Subscription("s", topic="t", dead_letter="d")
TABLE = Table("events", {"e": GcRule(versions=1), "f": GcRule()})
JOB = Job("daily", topic="requests", schedule="0 1 * * *", data=b"{}")


def lines(changes: list[Change]) -> list[str]:
    return [change.line() for change in changes]


def test_missing_topics_are_created() -> None:
    assert lines(plan_topics(("a", "b", "c"), {"b", "other"})) == ["+ topic a", "+ topic c"]


def test_resources_as_declared_need_no_change() -> None:
    assert plan_topics(("a",), {"a"}) == []
    assert plan_subscription(SUBSCRIPTION, SUBSCRIPTION) == []
    assert plan_table(TABLE, dict(TABLE.families)) == []
    assert plan_job(JOB, ExistingJob(JOB)) == []


def test_missing_resources_are_created() -> None:
    assert lines(plan_subscription(SUBSCRIPTION, None)) == ["+ subscription s: of topic t"]
    assert lines(plan_table(TABLE, None)) == ["+ table events: with families e, f"]
    assert lines(plan_table(replace(TABLE, splits=[b"1", b"2"]), None)) == [
        "+ table events: with families e, f split at 2 keys"
    ]
    assert lines(plan_job(JOB, None)) == ["+ job daily: 0 1 * * * Etc/UTC"]


@pytest.mark.parametrize(
    ("altered", "keys", "line"),
    [
        ({"ack_deadline": timedelta(seconds=10)}, ("ack_deadline",), "~ subscription s: ack deadline: 10 s → 600 s"),
        ({"retention": timedelta(days=1)}, ("retention",), "~ subscription s: retention: 1 day → 7 days"),
        (
            {"minimum_backoff": timedelta(0), "maximum_backoff": timedelta(milliseconds=2500)},
            ("minimum_backoff", "maximum_backoff"),
            "~ subscription s: minimum back-off: 0 s → 10 s, maximum back-off: 2.5 s → 600 s",
        ),
        ({"expires_after": timedelta(days=31)}, ("expires_after",), "~ subscription s: expires after: 31 days → none"),
        ({"dead_letter": None}, ("dead_letter",), "~ subscription s: dead-letter topic: none → d"),
        ({"attempts": 5}, ("attempts",), "~ subscription s: delivery attempts: 5 → 100"),
        ({"exactly_once": True}, ("exactly_once",), "~ subscription s: exactly-once delivery: on → off"),
        ({"push_endpoint": "http://a"}, ("push_endpoint",), "~ subscription s: push endpoint: http://a → none"),
    ],
)
def test_differences_of_a_subscription_become_a_change(
    altered: dict[str, Any], keys: tuple[str, ...], line: str
) -> None:
    [change] = plan_subscription(SUBSCRIPTION, replace(SUBSCRIPTION, **altered))

    assert (change.keys, change.loses, change.line()) == (keys, "", line)


def test_attempts_are_ignored_without_a_dead_letter_topic() -> None:
    wanted = replace(SUBSCRIPTION, dead_letter=None)

    assert plan_subscription(wanted, replace(wanted, attempts=0)) == []


@pytest.mark.parametrize("altered", [{"topic": "_deleted-topic_"}, {"topic": "x"}, {"filter": "a"}, {"ordered": True}])
def test_a_fixed_attribute_needs_a_recreation_which_is_refused(altered: dict[str, Any]) -> None:
    found = replace(SUBSCRIPTION, ack_deadline=timedelta(seconds=10), **altered)
    [change] = plan_subscription(SUBSCRIPTION, found)

    assert change.action == "replace"
    assert change.line().startswith("! subscription s: ")
    assert change.line().endswith(
        "; refused without --force: it must be recreated, and its unacknowledged messages are lost"
    )
    assert change.line(force=True).startswith("± subscription s: ")
    assert "refused" not in change.line(force=True)


def test_a_shorter_retention_is_refused_separately() -> None:
    found = replace(SUBSCRIPTION, retention=timedelta(days=31), attempts=5)

    assert lines(plan_subscription(SUBSCRIPTION, found)) == [
        "~ subscription s: delivery attempts: 5 → 100",
        "! subscription s: retention: 31 days → 7 days; refused without --force: "
        "older unacknowledged messages are lost",
    ]


def test_missing_families_are_created_and_undeclared_ones_refused() -> None:
    found = {"e": GcRule(versions=1), "x": GcRule()}

    assert lines(plan_table(TABLE, found)) == [
        "+ family f of table events: keeps everything",
        "! family x of table events: isn't declared; refused without --force: all its cells are deleted",
    ]
    assert plan_table(TABLE, found)[1].line(force=True) == "- family x of table events: isn't declared"


@pytest.mark.parametrize(
    ("found", "wanted", "loses"),
    [
        (GcRule(versions=1), GcRule(versions=2), False),
        (GcRule(versions=2), GcRule(versions=1), True),
        (GcRule(), GcRule(versions=1), True),
        (GcRule(age=timedelta(1)), GcRule(versions=1), True),
        (GcRule(versions=1), GcRule(), False),
        (GcRule(age=timedelta(3)), GcRule(age=timedelta(30)), False),
        (GcRule(age=timedelta(60)), GcRule(age=timedelta(30)), True),
        (GcRule(versions=1), GcRule(age=timedelta(30)), True),
        (GcRule(), GcRule(age=timedelta(30)), True),
        (GcRule(other="union { ... }"), GcRule(versions=1), True),
        (GcRule(other="union { ... }"), GcRule(), False),
        (GcRule(versions=1), GcRule(versions=1, age=timedelta(30)), True),
        (GcRule(versions=1, age=timedelta(60)), GcRule(versions=1, age=timedelta(30)), True),
        (GcRule(versions=2, age=timedelta(3)), GcRule(versions=1, age=timedelta(30)), True),
        (GcRule(versions=1, age=timedelta(3)), GcRule(versions=1, age=timedelta(30)), False),
        (GcRule(versions=1, age=timedelta(3)), GcRule(versions=1), False),
    ],
)
def test_a_gc_rule_that_deletes_more_is_refused(found: GcRule, wanted: GcRule, loses: bool) -> None:
    [change] = plan_table(Table("t", {"a": wanted}), {"a": found})

    assert change.action == "change"
    assert bool(change.loses) is loses


AGED = Table("rejected", {"r": GcRule(age=timedelta(days=30))}, any_age=True)


@pytest.mark.parametrize(
    ("age", "text"), [(timedelta(days=3), "3 days"), (timedelta(days=60), "60 days"), (None, "everything")]
)
def test_an_age_set_by_hand_stays_and_is_noted(age: timedelta | None, text: str) -> None:
    found = {"r": GcRule(age=age)}

    assert plan_table(AGED, found) == []
    assert kept_ages(AGED, found) == [
        f"family r of table rejected: keeps {text}, which stays; the default is 30 days, and [tables.rejected] of a "
        "file for --config sets another"
    ]


def test_an_age_as_declared_and_a_missing_table_need_no_note() -> None:
    assert kept_ages(AGED, dict(AGED.families)) == kept_ages(AGED, None) == kept_ages(AGED, {}) == []


def test_a_rule_that_differs_in_more_than_its_age_is_a_change() -> None:
    found = {"r": GcRule(versions=1)}

    assert kept_ages(AGED, found) == []
    assert lines(plan_table(AGED, found)) == [
        "! family r of table rejected: keeps 1 version → 30 days; refused without --force: existing cells are deleted"
    ]


@pytest.mark.parametrize(
    ("found", "wanted", "line"),
    [
        (60, 30, "! family r of table rejected: keeps 60 days → 30 days; refused without --force: existing cells"),
        (30, 90, "~ family r of table rejected: keeps 30 days → 90 days"),
        (30, None, "~ family r of table rejected: keeps 30 days → everything"),
        (None, 400, "! family r of table rejected: keeps everything → 400 days; refused without --force: existing"),
    ],
)
def test_a_retention_that_is_named_is_applied(found: int | None, wanted: int | None, line: str) -> None:
    table = AGED.with_age(None if wanted is None else timedelta(wanted))
    existing = {"r": GcRule(age=None if found is None else timedelta(found))}

    [change] = plan_table(table, existing)

    assert change.line().startswith(line)
    assert kept_ages(table, existing) == []


def test_a_retention_is_added_to_the_limit_of_versions() -> None:
    [events, rejected, *others] = RESOURCES.with_retention({"events": timedelta(days=400), "rejected": None}).tables

    assert events.families == dict.fromkeys(("e", "f"), GcRule(versions=1, age=timedelta(days=400)))
    assert rejected.families == {"r": GcRule()}
    assert others == list(RESOURCES.tables[2:])
    found = {"e": GcRule(versions=1, age=timedelta(days=90)), "f": GcRule(versions=1, age=timedelta(days=400))}
    assert lines(plan_table(events, found)) == [
        "~ family e of table events: keeps 1 version for 90 days → 1 version for 400 days"
    ]


def test_the_table_state_keeps_everything() -> None:
    state = RESOURCES.tables[-1]

    assert (state.name, RETENTION_TABLES) == ("state", ("events", "rejected", "aggregates"))
    [change] = plan_table(state, {"s": GcRule(versions=1, age=timedelta(days=1))})
    assert change.line() == "~ family s of table state: keeps 1 version for 1 day → 1 version"


@pytest.mark.parametrize(
    ("altered", "line"),
    [
        ({"schedule": "@daily"}, "schedule: @daily → 0 1 * * *"),
        ({"time_zone": "Europe/Berlin"}, "time zone: Europe/Berlin → Etc/UTC"),
        ({"topic": "(none)"}, "topic: (none) → requests"),
        ({"data": b"\xff"}, r"data: '\\xff' → '{}'"),
        ({"retries": 0}, "retries: 0 → 5"),
        ({"retry_for": timedelta(hours=1)}, "retry for: 3600 s → 0 s"),
        ({"attributes": {"b": "2", "a": "1"}}, "attributes: a=1, b=2 → none"),
    ],
)
def test_differences_of_a_job_become_a_change(altered: dict[str, Any], line: str) -> None:
    [change] = plan_job(JOB, ExistingJob(replace(JOB, **altered)))

    assert change.keys == tuple(altered)
    assert change.line() == f"~ job daily: {line}"


@pytest.mark.parametrize(("state", "key"), [("PAUSED", "paused"), ("DISABLED", "state"), ("UPDATE_FAILED", "state")])
def test_a_job_that_is_not_enabled_is_enabled(state: str, key: str) -> None:
    [change] = plan_job(JOB, ExistingJob(replace(JOB, retries=1), state))

    assert change.keys == ("retries", key)
    assert change.line() == f"~ job daily: retries: 1 → 5, state: {state.lower()} → enabled"


@pytest.mark.parametrize("adopt", [False, True])
def test_a_marked_resource_is_changed(adopt: bool) -> None:
    changes = [Change("change", "topic", "a")]

    assert plan_owned("topic", "a", changes, owner="shop", found="shop", adopt=adopt) == changes


def test_an_unmarked_resource_is_changed_only_after_its_adoption() -> None:
    changes = [Change("change", "topic", "a", text="b")]
    refused = plan_owned("topic", "a", changes, owner="shop", found=None, adopt=False)
    adopted = plan_owned("topic", "a", changes, owner="shop", found=None, adopt=True)

    assert lines(refused) == [
        "! topic a: found no mark, expected sluice=shop; refused without --adopt: it may belong to other software"
    ]
    assert [change.line(adopt=True) for change in adopted] == [
        "~ topic a: found no mark, expected sluice=shop",
        "~ topic a: b",
    ]


@pytest.mark.parametrize("adopt", [False, True])
def test_a_resource_of_another_pipeline_is_refused(adopt: bool) -> None:
    [change] = plan_owned("topic", "a", [Change("change", "topic", "a")], owner="shop", found="web", adopt=adopt)

    assert change.line(adopt=adopt, force=True) == (
        "! topic a: found the mark sluice=web, expected sluice=shop; refused: it belongs to another pipeline"
    )


def test_a_named_copy_has_the_names_and_marks_of_the_pipeline() -> None:
    named = RESOURCES.named("shop")

    assert named.topics == ("shop-events", "shop-events-dead-letter", "shop-aggregate-requests")
    assert {(each.name, each.topic, each.dead_letter) for each in named.subscriptions} == {
        ("shop-events-ingest", "shop-events", "shop-events-dead-letter"),
        ("shop-events-dead-letter-keep", "shop-events-dead-letter", None),
        ("shop-aggregate-run", "shop-aggregate-requests", None),
    }
    assert [(each.name, each.mark) for each in named.tables] == [
        (f"shop-{name}", "sluice-shop") for name in ("events", "rejected", "aggregates", "state")
    ]
    [job] = named.jobs
    assert (job.name, job.topic) == ("shop-aggregate-daily", "shop-aggregate-requests")
    assert job.description.endswith("(sluice=shop)")


def test_the_default_pipeline_has_the_declared_names() -> None:
    named = RESOURCES.named("sluice")

    assert (named.topics, named.subscriptions) == (RESOURCES.topics, RESOURCES.subscriptions)
    assert [each.name for each in named.tables] == [each.name for each in RESOURCES.tables]
