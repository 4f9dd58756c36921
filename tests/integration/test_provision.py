"""Provisioning makes what is declared, puts right what was changed by hand, and refuses what would lose data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.cloud.bigtable_admin_v2.types import ColumnFamily, GcRule, ModifyColumnFamiliesRequest
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, RetryPolicy, Subscription, UpdateSubscriptionRequest

from infra.doctor.drift import differences
from infra.provision.bigtable import Tables, open_bigtable
from infra.provision.provisioner import Provisioning, provision
from infra.provision.pubsub import PubSub, open_pubsub
from infra.provision.resources import RESOURCES
from infra.provision.scheduler import Schedule, open_schedule
from shared.config import Settings
from shared.errors import SettingsError, StoreUnavailableError
from tests.support.emulators import running_emulators
from tests.support.processes import free_port

(JOB,) = RESOURCES.jobs
Modification = ModifyColumnFamiliesRequest.Modification


@pytest.fixture(scope="module")
def emulators() -> Iterator[Settings]:
    """Emulators of its own: from the first family altered on, Google's Bigtable emulator collects garbage everywhere.

    Where others write quarantined events of 2024, those would be gone in a second.
    """
    yield from running_emulators()


@pytest.fixture
def place(empty_instance: Settings) -> Settings:
    """A project and an instance where everything is as declared."""
    provision(empty_instance)
    return empty_instance


@pytest.fixture
def pubsub(place: Settings) -> Iterator[PubSub]:
    with open_pubsub(place, RESOURCES) as connected:
        yield connected


@pytest.fixture
def tables(place: Settings) -> Iterator[Tables]:
    with open_bigtable(place, RESOURCES) as connected:
        yield connected


@pytest.fixture
def schedule(place: Settings) -> Iterator[Schedule]:
    with open_schedule(place, RESOURCES) as connected:
        yield connected


def planned(settings: Settings, *, force: bool = False) -> list[str]:
    with Provisioning(settings) as provisioning:
        return [change.line(force=force) for change in provisioning.changes]


def applied(settings: Settings, *, force: bool = False) -> list[str]:
    with Provisioning(settings) as provisioning:
        return [change.line(force=force) for change in provisioning.apply(force=force)]


def test_everything_is_made_once(empty_instance: Settings) -> None:
    made = applied(empty_instance)

    assert made == [
        "+ topic events",
        "+ topic events-dead-letter",
        "+ topic aggregate-requests",
        "+ subscription events-ingest: of topic events",
        "+ subscription events-dead-letter-keep: of topic events-dead-letter",
        "+ subscription aggregate-run: of topic aggregate-requests",
        "+ table events: with families e, f split at 63 keys",
        "+ table rejected: with families r split at 63 keys",
        "+ table aggregates: with families a",
        "+ table state: with families s",
        "+ job aggregate-daily: 0 1 * * * Etc/UTC",
    ]
    assert planned(empty_instance) == []


def test_what_is_made_without_looking_is_as_declared(empty_instance: Settings) -> None:
    made = provision(empty_instance)

    assert len(made) == 11
    assert made[3] == "subscription events-ingest of topic events"
    assert made[6] == "table events with families e, f split at 63 keys"
    assert provision(empty_instance) == []
    assert planned(empty_instance) == []


def test_a_dry_run_changes_nothing(empty_instance: Settings) -> None:
    first = planned(empty_instance)

    assert len(first) == 11
    assert planned(empty_instance) == first


def test_tables_and_subscriptions_are_as_declared(place: Settings, pubsub: PubSub, tables: Tables) -> None:
    families = {table: _table(tables, place, table).column_families for table in ("events", "rejected", "aggregates")}
    assert {table: sorted(each) for table, each in families.items()} == {
        "events": ["e", "f"],
        "rejected": ["r"],
        "aggregates": ["a"],
    }
    assert families["events"]["e"].gc_rule.max_num_versions == 1
    assert families["rejected"]["r"].gc_rule.max_age == timedelta(days=30)
    assert not families["aggregates"]["a"].gc_rule

    ingest, keep = (
        _subscription(pubsub, place, "events-ingest"),
        _subscription(pubsub, place, "events-dead-letter-keep"),
    )
    assert ingest.ack_deadline_seconds == 600
    assert ingest.message_retention_duration == timedelta(days=7)
    assert ingest.retry_policy.minimum_backoff == timedelta(seconds=10)
    assert ingest.dead_letter_policy.max_delivery_attempts == 100
    assert ingest.dead_letter_policy.dead_letter_topic == f"projects/{place.project_id}/topics/events-dead-letter"
    assert keep.topic == f"projects/{place.project_id}/topics/events-dead-letter"


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("ack_deadline_seconds", 20, "ack deadline: 20 s → 600 s"),
        ("message_retention_duration", timedelta(days=2), "retention: 2 days → 7 days"),
        (
            "retry_policy",
            RetryPolicy(minimum_backoff=timedelta(seconds=1), maximum_backoff=timedelta(seconds=9)),
            "minimum back-off: 1 s → 10 s, maximum back-off: 9 s → 600 s",
        ),
        ("retry_policy", None, "minimum back-off: 0 s → 10 s, maximum back-off: 0 s → 600 s"),
        ("dead_letter_policy", None, "dead-letter topic: none → events-dead-letter, delivery attempts: 0 → 100"),
        (
            "dead_letter_policy",
            {"dead_letter_topic": "aggregate-requests", "max_delivery_attempts": 5},
            "dead-letter topic: aggregate-requests → events-dead-letter, delivery attempts: 5 → 100",
        ),
        ("enable_exactly_once_delivery", True, "exactly-once delivery: on → off"),
        (
            "push_config",
            PushConfig(push_endpoint="http://127.0.0.1:9/"),
            "push endpoint: http://127.0.0.1:9/ → none",
        ),
    ],
)
def test_a_subscription_changed_by_hand_is_put_right(
    place: Settings, pubsub: PubSub, path: str, value: Any, line: str
) -> None:
    if isinstance(value, dict):
        topic = f"projects/{place.project_id}/topics/{value['dead_letter_topic']}"
        value = DeadLetterPolicy({**value, "dead_letter_topic": topic})
    name = f"projects/{place.project_id}/subscriptions/events-ingest"
    altered = Subscription(name=name, **{path: value})
    request = UpdateSubscriptionRequest(subscription=altered, update_mask={"paths": [path]})
    before = _subscription(pubsub, place, "events-ingest")
    pubsub.subscriber.update_subscription(request=request)

    assert planned(place) == [f"~ subscription events-ingest: {line}"]
    assert applied(place) == [f"~ subscription events-ingest: {line}"]
    assert planned(place) == []
    assert _subscription(pubsub, place, "events-ingest") == before


def test_what_was_deleted_is_made_again(place: Settings, pubsub: PubSub, tables: Tables) -> None:
    pubsub.subscriber.delete_subscription(subscription=f"projects/{place.project_id}/subscriptions/aggregate-run")
    tables.admin.delete_table(name=_table(tables, place, "state").name)

    assert applied(place) == [
        "+ subscription aggregate-run: of topic aggregate-requests",
        "+ table state: with families s",
    ]
    assert planned(place) == []


def test_a_subscription_whose_topic_was_deleted_is_made_anew_only_by_force(place: Settings, pubsub: PubSub) -> None:
    """It may hold messages: they would go with it."""
    pubsub.publisher.delete_topic(topic=f"projects/{place.project_id}/topics/events")
    text = "subscription events-ingest: topic: _deleted-topic_ → events"
    refusal = "it has to be made anew, and what it holds unacknowledged is lost"

    assert planned(place) == ["+ topic events", f"! {text}; refused without --force: {refusal}"]
    assert applied(place) == ["+ topic events"]
    assert applied(place, force=True) == [f"± {text}"]
    assert planned(place) == []
    assert _subscription(pubsub, place, "events-ingest").topic == f"projects/{place.project_id}/topics/events"


@pytest.mark.parametrize(
    ("made_with", "text"),
    [
        ({"topic": "aggregate-requests"}, "topic: aggregate-requests → events"),
        ({"filter": 'attributes.kind = "click"'}, 'filter: attributes.kind = "click" → none'),
        ({"enable_message_ordering": True}, "ordered: on → off"),
    ],
)
def test_what_a_subscription_cant_be_given_later_is_refused(
    place: Settings, pubsub: PubSub, made_with: dict[str, Any], text: str
) -> None:
    message = _subscription(pubsub, place, "events-ingest")
    pubsub.subscriber.delete_subscription(subscription=message.name)
    for key, value in made_with.items():
        setattr(message, key, f"projects/{place.project_id}/topics/{value}" if key == "topic" else value)
    pubsub.subscriber.create_subscription(request=message)

    assert [line.split(";")[0] for line in planned(place)] == [f"! subscription events-ingest: {text}"]
    assert applied(place) == []
    assert applied(place, force=True) == [f"± subscription events-ingest: {text}"]
    assert planned(place) == []


@pytest.mark.parametrize(
    ("table", "modification", "line"),
    [
        ("events", Modification(id="f", drop=True), "+ family f of table events: keeps 1 version"),
        (
            "rejected",
            Modification(id="r", update=ColumnFamily(gc_rule=GcRule(max_age=timedelta(days=3)))),
            "~ family r of table rejected: keeps 3 days → 30 days",
        ),
        (
            "aggregates",
            Modification(id="a", update=ColumnFamily(gc_rule=GcRule(max_num_versions=2))),
            "~ family a of table aggregates: keeps 2 versions → everything",
        ),
    ],
)
def test_a_table_changed_by_hand_is_put_right(
    place: Settings, tables: Tables, table: str, modification: Modification, line: str
) -> None:
    before = _table(tables, place, table)
    tables.admin.modify_column_families(name=before.name, modifications=[modification])

    assert planned(place) == [line]
    assert applied(place) == [line]
    assert planned(place) == []
    assert _table(tables, place, table) == before


@pytest.mark.parametrize(
    ("table", "modification", "text", "mark", "loses"),
    [
        (
            "events",
            Modification(id="mine", create=ColumnFamily()),
            "family mine of table events: isn't declared",
            "-",
            "all its cells are deleted",
        ),
        (
            "events",
            Modification(id="e", update=ColumnFamily()),
            "family e of table events: keeps everything → 1 version",
            "~",
            "cells that are kept now are deleted",
        ),
        (
            "rejected",
            Modification(id="r", update=ColumnFamily(gc_rule=GcRule(max_age=timedelta(days=60)))),
            "family r of table rejected: keeps 60 days → 30 days",
            "~",
            "cells that are kept now are deleted",
        ),
    ],
)
def test_what_would_delete_cells_is_refused(
    place: Settings, tables: Tables, table: str, modification: Modification, text: str, mark: str, loses: str
) -> None:
    before = _table(tables, place, table)
    tables.admin.modify_column_families(name=before.name, modifications=[modification])
    altered = _table(tables, place, table)

    assert planned(place) == [f"! {text}; refused without --force: {loses}"]
    assert applied(place) == []
    assert _table(tables, place, table) == altered
    assert applied(place, force=True) == [f"{mark} {text}"]
    assert planned(place) == []
    assert _table(tables, place, table) == before


@pytest.mark.parametrize(
    ("path", "altered", "text"),
    [
        ("schedule", {"schedule": "0 4 * * *"}, "schedule: 0 4 * * * → 0 1 * * *"),
        ("time_zone", {"time_zone": "Europe/Berlin"}, "time zone: Europe/Berlin → Etc/UTC"),
        ("description", {"description": "mine"}, f"description: mine → {JOB.description}"),
        ("retry_config", {"retry_config": {"retry_count": 1, "max_doublings": 3}}, "retries: 1 → 5, doublings: 3 → 5"),
        (
            "pubsub_target",
            {"pubsub_target": {"topic_name": "events", "data": b"x", "attributes": {"a": "b"}}},
            "topic: events → aggregate-requests, data: 'x' → '{}', attributes: a=b → none",
        ),
    ],
)
def test_a_job_changed_by_hand_is_put_right(
    place: Settings, schedule: Schedule, path: str, altered: dict[str, Any], text: str
) -> None:
    before = _job(schedule, place)
    if path == "pubsub_target":
        altered = {path: {**altered[path], "topic_name": f"projects/{place.project_id}/topics/events"}}
    job = {"name": before.name, **altered}
    schedule.client.update_job(job=job, update_mask={"paths": [path]})
    line = f"~ job aggregate-daily: {text}"

    assert planned(place) == [line]
    assert applied(place) == [line]
    assert planned(place) == []
    assert _settled(_job(schedule, place)) == _settled(before)


def test_a_paused_job_is_resumed(place: Settings, schedule: Schedule) -> None:
    schedule.client.pause_job(name=_job(schedule, place).name)

    assert applied(place) == ["~ job aggregate-daily: state: paused → enabled"]
    assert planned(place) == []
    assert _job(schedule, place).state.name == "ENABLED"


def test_a_job_in_another_place_is_another_job(place: Settings) -> None:
    elsewhere = replace(place, region="europe-west1")

    assert planned(elsewhere) == ["+ job aggregate-daily: 0 1 * * * Etc/UTC"]


def test_a_refusal_doesnt_hold_up_the_rest(place: Settings, tables: Tables) -> None:
    name = _table(tables, place, "events").name
    modifications = [Modification(id="mine", create=ColumnFamily()), Modification(id="f", drop=True)]
    tables.admin.modify_column_families(name=name, modifications=modifications)

    assert applied(place) == ["+ family f of table events: keeps 1 version"]
    assert sorted(_table(tables, place, "events").column_families) == ["e", "f", "mine"]


def test_the_doctor_tells_what_was_changed_by_hand(
    place: Settings, pubsub: PubSub, tables: Tables, schedule: Schedule
) -> None:
    assert [finding.ok for finding in differences(place)] == [True, True, True]

    keep = f"projects/{place.project_id}/subscriptions/events-dead-letter-keep"
    altered = UpdateSubscriptionRequest(
        subscription=Subscription(name=keep, ack_deadline_seconds=20), update_mask={"paths": ["ack_deadline_seconds"]}
    )
    pubsub.subscriber.update_subscription(request=altered)
    rule = Modification(id="r", update=ColumnFamily(gc_rule=GcRule(max_age=timedelta(days=3))))
    tables.admin.modify_column_families(name=_table(tables, place, "rejected").name, modifications=[rule])
    schedule.client.pause_job(name=_job(schedule, place).name)

    assert [f"{finding.what}: {finding.text}" for finding in differences(place) if not finding.ok] == [
        "subscription events-dead-letter-keep: ack deadline: 20 s → 600 s; `sluice provision`",
        "family r of table rejected: keeps 3 days → 30 days; `sluice provision`",
        "job aggregate-daily: state: paused → enabled; `sluice provision`",
    ]
    applied(place)
    assert [finding.ok for finding in differences(place)] == [True, True, True]


@pytest.mark.parametrize("after", [1, 4, 8, 10])
def test_an_interrupted_run_goes_on(empty_instance: Settings, after: int) -> None:
    with Provisioning(empty_instance) as provisioning:
        steps = provisioning.apply()
        done = [next(steps).line() for _ in range(after)]
        steps.close()

    rest = applied(empty_instance)
    assert len(done) == after
    assert len(done) + len(rest) == 11
    assert not {*done} & {*rest}
    assert planned(empty_instance) == []


def test_what_somebody_else_makes_meanwhile_does_no_harm(empty_instance: Settings) -> None:
    with Provisioning(empty_instance) as provisioning:
        provision(empty_instance)
        assert len(list(provisioning.apply())) == 11
    assert planned(empty_instance) == []


def test_what_was_sent_stays_through_a_change(place: Settings, pubsub: PubSub) -> None:
    pubsub.publisher.publish(topic=f"projects/{place.project_id}/topics/events", messages=[{"data": b"kept"}])
    name = f"projects/{place.project_id}/subscriptions/events-ingest"
    altered = Subscription(name=name, ack_deadline_seconds=20)
    request = UpdateSubscriptionRequest(subscription=altered, update_mask={"paths": ["ack_deadline_seconds"]})
    pubsub.subscriber.update_subscription(request=request)

    applied(place)

    [received] = pubsub.subscriber.pull(subscription=name, max_messages=1, timeout=30).received_messages
    assert received.message.data == b"kept"


@pytest.mark.parametrize("missing", ["pubsub_emulator", "bigtable_emulator"])
def test_emulators_and_google_cloud_arent_mixed(empty_instance: Settings, missing: str) -> None:
    with pytest.raises(SettingsError, match=r"found .* without .*, expected all of them for emulators or none"):
        Provisioning(replace(empty_instance, **{missing: None}))
    mixed = replace(empty_instance, bigtable_emulator=None, pubsub_emulator=None, scheduler_emulator="127.0.0.1:1")
    with pytest.raises(SettingsError, match="found CLOUD_SCHEDULER_EMULATOR_HOST without"):
        Provisioning(mixed)


def test_without_a_local_scheduler_the_job_is_left_out(empty_instance: Settings) -> None:
    with Provisioning(replace(empty_instance, scheduler_emulator=None)) as provisioning:
        assert [note.split(":")[0] for note in provisioning.notes] == ["job aggregate-daily"]
        assert not [change for change in provisioning.changes if change.thing == "job"]


def test_a_service_that_doesnt_answer_is_named(empty_instance: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.provision.google_api.TIMEOUT", 0.2)
    nowhere = replace(empty_instance, pubsub_emulator=f"127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError, match="topic events: the service doesn't answer"):
        provision(nowhere)
    with pytest.raises(StoreUnavailableError, match="topic events: the service doesn't answer"):
        planned(nowhere)
    [unanswered, *others] = [finding.text for finding in differences(nowhere)]
    assert unanswered.startswith("topic events: the service doesn't answer")
    assert others == ["missing; `sluice provision`"] * 5


def _subscription(pubsub: PubSub, settings: Settings, name: str) -> Subscription:
    return pubsub.subscriber.get_subscription(subscription=f"projects/{settings.project_id}/subscriptions/{name}")


def _table(tables: Tables, settings: Settings, name: str) -> Any:
    return tables.admin.get_table(name=f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/{name}")


def _job(schedule: Schedule, settings: Settings) -> Any:
    where = f"projects/{settings.project_id}/locations/{settings.region}"
    return schedule.client.get_job(name=f"{where}/jobs/aggregate-daily")


def _settled(job: Any) -> Any:
    """What is declared of a job, without when it was changed and when it is due."""
    fields = ("schedule", "time_zone", "description", "retry_config", "pubsub_target", "state")
    return {field: getattr(job, field) for field in fields}
