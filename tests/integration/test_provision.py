"""Provisioning creates declared resources, reverts manual changes and refuses changes that lose data."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.cloud.bigtable_admin_v2.types import ColumnFamily, GcRule, ModifyColumnFamiliesRequest
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, RetryPolicy, Subscription, UpdateSubscriptionRequest
from msgspec.structs import replace

from infra.cli.commands import sluice
from infra.doctor.drift import find_drift
from infra.provision.bigtable import Tables, open_bigtable
from infra.provision.provisioner import Provisioning
from infra.provision.pubsub import PubSub, open_pubsub
from infra.provision.resources import RESOURCES, Resources
from infra.provision.scheduler import Schedule, open_schedule
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import SettingsError, StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline
from tests.support.emulators import engine, running_emulators
from tests.support.processes import free_port
from tests.support.provisioning import provision
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, message, music_event

(JOB,) = RESOURCES.named("sluice").jobs
# As with a file that names the retention of `rejected`.
NAMED = RESOURCES.with_retention({"rejected": timedelta(days=30)})
Modification = ModifyColumnFamiliesRequest.Modification


@pytest.fixture(scope="module")
def emulators() -> Iterator[Settings]:
    """Separate emulators: after a change of a family, Google's Bigtable emulator collects garbage in all tables.

    Rejected events of 2024 that other tests write would be deleted within a second.
    """
    yield from running_emulators(engine())


@pytest.fixture
def provisioned(empty_instance: Settings) -> Settings:
    """A project and an instance with all declared resources."""
    provision(empty_instance)
    return empty_instance


@pytest.fixture
def pubsub(provisioned: Settings) -> Iterator[PubSub]:
    with open_pubsub(provisioned, RESOURCES) as connected:
        yield connected


@pytest.fixture
def tables(provisioned: Settings) -> Iterator[Tables]:
    with open_bigtable(provisioned, RESOURCES) as connected:
        yield connected


@pytest.fixture
def schedule(provisioned: Settings) -> Iterator[Schedule]:
    with open_schedule(provisioned, RESOURCES) as connected:
        yield connected


def planned(settings: Settings, resources: Resources = RESOURCES, *, force: bool = False) -> list[str]:
    with Provisioning(settings, resources) as provisioning:
        return [change.line(force=force) for change in provisioning.changes]


def applied(settings: Settings, resources: Resources = RESOURCES, *, force: bool = False) -> list[str]:
    with Provisioning(settings, resources) as provisioning:
        return [change.line(force=force) for change in provisioning.apply(force=force)]


def run_provision(settings: Settings, *arguments: str) -> Result:
    """Run the command with the settings in its environment."""
    environment = {
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": settings.bigtable_emulator,
        "PUBSUB_EMULATOR_HOST": settings.pubsub_emulator,
        "CLOUD_SCHEDULER_EMULATOR_HOST": settings.scheduler_emulator,
    }
    return CliRunner().invoke(sluice, ["provision", *arguments], env=environment)


def test_all_resources_are_created_once(empty_instance: Settings) -> None:
    created = applied(empty_instance)

    assert created == [
        "+ topic events",
        "+ topic events-dead-letter",
        "+ topic aggregate-requests",
        "+ subscription events-ingest: of topic events",
        "+ subscription events-dead-letter-keep: of topic events-dead-letter",
        "+ subscription aggregate-run: of topic aggregate-requests",
        "+ table events: with families e, f split at 63 keys",
        "+ table rejected: with families r split at 63 keys",
        "+ table aggregates: with families a, m",
        "+ table state: with families s",
        "+ job aggregate-daily: 0 1 * * * Etc/UTC",
    ]
    assert planned(empty_instance) == []


def test_resources_created_without_a_comparison_are_as_declared(empty_instance: Settings) -> None:
    created = provision(empty_instance)

    assert len(created) == 11
    assert created[3] == "subscription events-ingest of topic events"
    assert created[6] == "table events with families e, f split at 63 keys"
    assert provision(empty_instance) == []
    assert planned(empty_instance) == []


def test_a_dry_run_changes_nothing(empty_instance: Settings) -> None:
    first = planned(empty_instance)

    assert len(first) == 11
    assert planned(empty_instance) == first


def test_tables_and_subscriptions_are_as_declared(provisioned: Settings, pubsub: PubSub, tables: Tables) -> None:
    families = {
        table: _table(tables, provisioned, table).column_families for table in ("events", "rejected", "aggregates")
    }
    assert {table: sorted(each) for table, each in families.items()} == {
        "events": ["e", "f", "sluice-sluice"],
        "rejected": ["r", "sluice-sluice"],
        "aggregates": ["a", "m", "sluice-sluice"],
    }
    assert families["events"]["e"].gc_rule.max_num_versions == 1
    assert families["rejected"]["r"].gc_rule.max_age == timedelta(days=30)
    assert not families["aggregates"]["a"].gc_rule

    ingest, keep = (
        _subscription(pubsub, provisioned, "events-ingest"),
        _subscription(pubsub, provisioned, "events-dead-letter-keep"),
    )
    assert ingest.ack_deadline_seconds == 600
    assert ingest.message_retention_duration == timedelta(days=7)
    assert ingest.retry_policy.minimum_backoff == timedelta(seconds=10)
    assert ingest.dead_letter_policy.max_delivery_attempts == 100
    assert ingest.dead_letter_policy.dead_letter_topic == f"projects/{provisioned.project_id}/topics/events-dead-letter"
    assert keep.topic == f"projects/{provisioned.project_id}/topics/events-dead-letter"


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
def test_a_manual_change_of_a_subscription_is_reverted(
    provisioned: Settings, pubsub: PubSub, path: str, value: Any, line: str
) -> None:
    if isinstance(value, dict):
        topic = f"projects/{provisioned.project_id}/topics/{value['dead_letter_topic']}"
        value = DeadLetterPolicy({**value, "dead_letter_topic": topic})
    name = f"projects/{provisioned.project_id}/subscriptions/events-ingest"
    altered = Subscription(name=name, **{path: value})
    request = UpdateSubscriptionRequest(subscription=altered, update_mask={"paths": [path]})
    before = _subscription(pubsub, provisioned, "events-ingest")
    pubsub.subscriber.update_subscription(request=request)

    assert planned(provisioned) == [f"~ subscription events-ingest: {line}"]
    assert applied(provisioned) == [f"~ subscription events-ingest: {line}"]
    assert planned(provisioned) == []
    assert _subscription(pubsub, provisioned, "events-ingest") == before


def test_deleted_resources_are_created_again(provisioned: Settings, pubsub: PubSub, tables: Tables) -> None:
    pubsub.subscriber.delete_subscription(subscription=f"projects/{provisioned.project_id}/subscriptions/aggregate-run")
    tables.admin.delete_table(name=_table(tables, provisioned, "state").name)

    assert applied(provisioned) == [
        "+ subscription aggregate-run: of topic aggregate-requests",
        "+ table state: with families s",
    ]
    assert planned(provisioned) == []


def test_a_subscription_of_a_deleted_topic_is_recreated_only_by_force(provisioned: Settings, pubsub: PubSub) -> None:
    """Its unacknowledged messages would be lost."""
    pubsub.publisher.delete_topic(topic=f"projects/{provisioned.project_id}/topics/events")
    text = "subscription events-ingest: topic: _deleted-topic_ → events"
    loses = "it must be recreated, and its unacknowledged messages are lost"

    assert planned(provisioned) == ["+ topic events", f"! {text}; refused without --force: {loses}"]
    assert applied(provisioned) == ["+ topic events"]
    assert applied(provisioned, force=True) == [f"± {text}"]
    assert planned(provisioned) == []
    assert (
        _subscription(pubsub, provisioned, "events-ingest").topic == f"projects/{provisioned.project_id}/topics/events"
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"topic": "aggregate-requests"}, "topic: aggregate-requests → events"),
        ({"filter": 'attributes.kind = "click"'}, 'filter: attributes.kind = "click" → none'),
        ({"enable_message_ordering": True}, "ordered: on → off"),
    ],
)
def test_a_change_of_a_fixed_attribute_is_refused(
    provisioned: Settings, pubsub: PubSub, fields: dict[str, Any], text: str
) -> None:
    message = _subscription(pubsub, provisioned, "events-ingest")
    pubsub.subscriber.delete_subscription(subscription=message.name)
    for key, value in fields.items():
        setattr(message, key, f"projects/{provisioned.project_id}/topics/{value}" if key == "topic" else value)
    pubsub.subscriber.create_subscription(request=message)

    assert [line.split(";")[0] for line in planned(provisioned)] == [f"! subscription events-ingest: {text}"]
    assert applied(provisioned) == []
    assert applied(provisioned, force=True) == [f"± subscription events-ingest: {text}"]
    assert planned(provisioned) == []


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
def test_a_manual_change_of_a_table_is_reverted(
    provisioned: Settings, tables: Tables, table: str, modification: Modification, line: str
) -> None:
    before = _table(tables, provisioned, table)
    tables.admin.modify_column_families(name=before.name, modifications=[modification])

    assert planned(provisioned, NAMED) == [line]
    assert applied(provisioned, NAMED) == [line]
    assert planned(provisioned, NAMED) == []
    assert _table(tables, provisioned, table) == before


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
            "existing cells are deleted",
        ),
        (
            "rejected",
            Modification(id="r", update=ColumnFamily(gc_rule=GcRule(max_age=timedelta(days=60)))),
            "family r of table rejected: keeps 60 days → 30 days",
            "~",
            "existing cells are deleted",
        ),
    ],
)
def test_a_change_that_deletes_cells_is_refused(
    provisioned: Settings, tables: Tables, table: str, modification: Modification, text: str, mark: str, loses: str
) -> None:
    before = _table(tables, provisioned, table)
    tables.admin.modify_column_families(name=before.name, modifications=[modification])
    altered = _table(tables, provisioned, table)

    assert planned(provisioned, NAMED) == [f"! {text}; refused without --force: {loses}"]
    assert applied(provisioned, NAMED) == []
    assert _table(tables, provisioned, table) == altered
    assert applied(provisioned, NAMED, force=True) == [f"{mark} {text}"]
    assert planned(provisioned, NAMED) == []
    assert _table(tables, provisioned, table) == before


async def test_a_retention_of_events_counts_from_the_events_time(provisioned: Settings, tables: Tables) -> None:
    """Bigtable deletes an event that is older than the retention, although it was stored just now."""
    now = datetime.now(UTC)
    events = [
        music_event(1, timestamp=(now - timedelta(days=500)).isoformat()),
        music_event(2, timestamp=(now - timedelta(days=300)).isoformat()),
    ]
    bigtable = Bigtable(provisioned)
    await IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT)).process(message(lines(events)))
    await bigtable.close()
    assert len(dump(provisioned, "events")) == 2

    resources = RESOURCES.with_retention({"events": timedelta(days=400)})
    assert len(applied(provisioned, resources, force=True)) == 2

    deadline = time.monotonic() + 30
    while len(rows := dump(provisioned, "events")) > 1:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    [(*_, value)] = cells(rows, "e")
    assert json.loads(value)["event_id"] == "evt-000002"


@pytest.mark.parametrize("days", [3, 60])
def test_a_retention_set_by_hand_stays(provisioned: Settings, tables: Tables, days: int) -> None:
    rule = Modification(id="r", update=ColumnFamily(gc_rule=GcRule(max_age=timedelta(days=days))))
    tables.admin.modify_column_families(name=_table(tables, provisioned, "rejected").name, modifications=[rule])

    assert applied(provisioned, force=True) == []
    assert _table(tables, provisioned, "rejected").column_families["r"].gc_rule.max_age == timedelta(days=days)
    with Provisioning(provisioned) as provisioning:
        assert [note.split(",")[0] for note in provisioning.notes] == [f"family r of table rejected: keeps {days} days"]
    [note] = [result for result in find_drift(provisioned) if result.what == "family r of table rejected"]
    assert (note.ok, note.text.split(",")[0]) == (True, f"keeps {days} days")


def test_the_file_sets_the_retention_of_the_tables_that_it_names(
    provisioned: Settings, tables: Tables, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[tables.events]\nretention = "400d"\n[tables.rejected]\nretention = "90d"\n')
    arguments = ("--config", str(file))
    loss = "refused without --force: existing cells are deleted"

    refused = run_provision(provisioned, *arguments)
    assert refused.exit_code == 1
    assert refused.stdout.splitlines() == [
        f"! family e of table events: keeps 1 version → 1 version for 400 days; {loss}",
        f"! family f of table events: keeps 1 version → 1 version for 400 days; {loss}",
        "~ family r of table rejected: keeps 30 days → 90 days",
    ]
    forced = run_provision(provisioned, *arguments, "--force")
    assert (forced.exit_code, len(forced.stdout.splitlines())) == (0, 2)
    assert run_provision(provisioned, *arguments).stdout == "no changes\n"
    limits = _table(tables, provisioned, "events").column_families["e"].gc_rule.union.rules
    assert [limits[0].max_num_versions, limits[1].max_age] == [1, timedelta(days=400)]

    without_file = run_provision(provisioned)
    assert (without_file.exit_code, without_file.stdout) == (0, "no changes\n")
    assert [line.split(",")[0] for line in without_file.stderr.splitlines()] == [
        "family e of table events: keeps 1 version for 400 days",
        "family f of table events: keeps 1 version for 400 days",
        "family r of table rejected: keeps 90 days",
    ]
    file.write_text('[tables.events]\nretention = "forever"\n')
    longer = run_provision(provisioned, *arguments)
    assert (longer.exit_code, longer.stdout.splitlines()[0]) == (
        0,
        "~ family e of table events: keeps 1 version for 400 days → 1 version",
    )


@pytest.mark.parametrize(
    ("path", "altered", "text"),
    [
        ("schedule", {"schedule": "0 4 * * *"}, "schedule: 0 4 * * * → 0 1 * * *"),
        ("time_zone", {"time_zone": "Europe/Berlin"}, "time zone: Europe/Berlin → Etc/UTC"),
        (
            "description",
            {"description": "mine (sluice=sluice)"},
            f"description: mine (sluice=sluice) → {JOB.description}",
        ),
        ("retry_config", {"retry_config": {"retry_count": 1, "max_doublings": 3}}, "retries: 1 → 5, doublings: 3 → 5"),
        (
            "pubsub_target",
            {"pubsub_target": {"topic_name": "events", "data": b"x", "attributes": {"a": "b"}}},
            "topic: events → aggregate-requests, data: 'x' → '{}', attributes: a=b → none",
        ),
    ],
)
def test_a_manual_change_of_a_job_is_reverted(
    provisioned: Settings, schedule: Schedule, path: str, altered: dict[str, Any], text: str
) -> None:
    before = _job(schedule, provisioned)
    if path == "pubsub_target":
        altered = {path: {**altered[path], "topic_name": f"projects/{provisioned.project_id}/topics/events"}}
    job = {"name": before.name, **altered}
    schedule.client.update_job(job=job, update_mask={"paths": [path]})
    line = f"~ job aggregate-daily: {text}"

    assert planned(provisioned) == [line]
    assert applied(provisioned) == [line]
    assert planned(provisioned) == []
    assert _declared_fields(_job(schedule, provisioned)) == _declared_fields(before)


def test_a_paused_job_is_resumed(provisioned: Settings, schedule: Schedule) -> None:
    schedule.client.pause_job(name=_job(schedule, provisioned).name)

    assert applied(provisioned) == ["~ job aggregate-daily: state: paused → enabled"]
    assert planned(provisioned) == []
    assert _job(schedule, provisioned).state.name == "ENABLED"


def test_a_job_in_another_region_is_another_job(provisioned: Settings) -> None:
    other_region = replace(provisioned, region="europe-west1")

    assert planned(other_region) == ["+ job aggregate-daily: 0 1 * * * Etc/UTC"]


def test_other_changes_are_applied_after_a_refusal(provisioned: Settings, tables: Tables) -> None:
    name = _table(tables, provisioned, "events").name
    modifications = [Modification(id="mine", create=ColumnFamily()), Modification(id="f", drop=True)]
    tables.admin.modify_column_families(name=name, modifications=modifications)

    assert applied(provisioned) == ["+ family f of table events: keeps 1 version"]
    assert sorted(_table(tables, provisioned, "events").column_families) == ["e", "f", "mine", "sluice-sluice"]


def test_an_unmarked_table_is_changed_only_with_adopt(provisioned: Settings, tables: Tables) -> None:
    name = _table(tables, provisioned, "events").name
    modifications = [Modification(id="sluice-sluice", drop=True), Modification(id="f", drop=True)]
    tables.admin.modify_column_families(name=name, modifications=modifications)
    unmarked = "table events: found no mark, expected sluice=sluice"

    refused = run_provision(provisioned)
    assert (refused.exit_code, refused.stdout) == (
        1,
        f"! {unmarked}; refused without --adopt: it may belong to other software\n",
    )
    assert sorted(_table(tables, provisioned, "events").column_families) == ["e"]
    adopted = run_provision(provisioned, "--adopt")
    assert (adopted.exit_code, adopted.stdout) == (0, f"~ {unmarked}\n+ family f of table events: keeps 1 version\n")
    assert sorted(_table(tables, provisioned, "events").column_families) == ["e", "f", "sluice-sluice"]
    assert planned(provisioned) == []


def test_the_doctor_reports_manual_changes(
    provisioned: Settings, pubsub: PubSub, tables: Tables, schedule: Schedule
) -> None:
    assert [result.ok for result in find_drift(provisioned)] == [True, True, True]

    keep = f"projects/{provisioned.project_id}/subscriptions/events-dead-letter-keep"
    altered = UpdateSubscriptionRequest(
        subscription=Subscription(name=keep, ack_deadline_seconds=20), update_mask={"paths": ["ack_deadline_seconds"]}
    )
    pubsub.subscriber.update_subscription(request=altered)
    rule = Modification(id="r", update=ColumnFamily(gc_rule=GcRule(max_age=timedelta(days=3))))
    tables.admin.modify_column_families(name=_table(tables, provisioned, "rejected").name, modifications=[rule])
    schedule.client.pause_job(name=_job(schedule, provisioned).name)

    assert [f"{result.what}: {result.text}" for result in find_drift(provisioned, NAMED) if not result.ok] == [
        "subscription events-dead-letter-keep: ack deadline: 20 s → 600 s; `sluice provision`",
        "family r of table rejected: keeps 3 days → 30 days; `sluice provision`",
        "job aggregate-daily: state: paused → enabled; `sluice provision`",
    ]
    applied(provisioned, NAMED)
    assert [result.ok for result in find_drift(provisioned, NAMED)] == [True, True, True]


@pytest.mark.parametrize("after", [1, 4, 8, 10])
def test_a_run_after_an_interruption_applies_the_rest(empty_instance: Settings, after: int) -> None:
    with Provisioning(empty_instance) as provisioning:
        steps = provisioning.apply()
        done = [next(steps).line() for _ in range(after)]
        steps.close()

    rest = applied(empty_instance)
    assert len(done) == after
    assert len(done) + len(rest) == 11
    assert not {*done} & {*rest}
    assert planned(empty_instance) == []


def test_resources_created_concurrently_are_accepted(empty_instance: Settings) -> None:
    with Provisioning(empty_instance) as provisioning:
        provision(empty_instance)
        assert len(list(provisioning.apply())) == 11
    assert planned(empty_instance) == []


def test_a_change_keeps_the_messages_of_a_subscription(provisioned: Settings, pubsub: PubSub) -> None:
    pubsub.publisher.publish(topic=f"projects/{provisioned.project_id}/topics/events", messages=[{"data": b"kept"}])
    name = f"projects/{provisioned.project_id}/subscriptions/events-ingest"
    altered = Subscription(name=name, ack_deadline_seconds=20)
    request = UpdateSubscriptionRequest(subscription=altered, update_mask={"paths": ["ack_deadline_seconds"]})
    pubsub.subscriber.update_subscription(request=request)

    applied(provisioned)

    [received] = pubsub.subscriber.pull(subscription=name, max_messages=1, timeout=30).received_messages
    assert received.message.data == b"kept"


@pytest.mark.parametrize("missing", ["pubsub_emulator", "bigtable_emulator"])
def test_settings_that_mix_emulators_and_google_cloud_are_refused(empty_instance: Settings, missing: str) -> None:
    with pytest.raises(SettingsError, match=r"found .* without .*, expected all of them for emulators or none"):
        Provisioning(replace(empty_instance, **{missing: None}))
    mixed = replace(empty_instance, bigtable_emulator=None, pubsub_emulator=None, scheduler_emulator="127.0.0.1:1")
    with pytest.raises(SettingsError, match="found CLOUD_SCHEDULER_EMULATOR_HOST without"):
        Provisioning(mixed)


def test_the_job_is_skipped_without_a_scheduler_emulator(empty_instance: Settings) -> None:
    with Provisioning(replace(empty_instance, scheduler_emulator=None)) as provisioning:
        assert [note.split(":")[0] for note in provisioning.notes] == ["job aggregate-daily"]
        assert not [change for change in provisioning.changes if change.kind == "job"]


def test_an_unavailable_service_is_named(empty_instance: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.provision.google_api.TIMEOUT", 0.2)
    unreachable = replace(empty_instance, pubsub_emulator=f"127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError, match="topic events: the service doesn't answer"):
        provision(unreachable)
    with pytest.raises(StoreUnavailableError, match="topic events: the service doesn't answer"):
        planned(unreachable)
    [unavailable, *others] = [result.text for result in find_drift(unreachable)]
    assert unavailable.startswith("topic events: the service doesn't answer")
    assert others == ["missing; `sluice provision`"] * 5


def _subscription(pubsub: PubSub, settings: Settings, name: str) -> Subscription:
    return pubsub.subscriber.get_subscription(subscription=f"projects/{settings.project_id}/subscriptions/{name}")


def _table(tables: Tables, settings: Settings, name: str) -> Any:
    return tables.admin.get_table(name=f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/{name}")


def _job(schedule: Schedule, settings: Settings) -> Any:
    where = f"projects/{settings.project_id}/locations/{settings.region}"
    return schedule.client.get_job(name=f"{where}/jobs/aggregate-daily")


def _declared_fields(job: Any) -> Any:
    """Return the declared fields of a job, without its update time and schedule time."""
    fields = ("schedule", "time_zone", "description", "retry_config", "pubsub_target", "state")
    return {field: getattr(job, field) for field in fields}


def test_the_intraday_job_follows_its_declaration(empty_instance: Settings, tmp_path: Path) -> None:
    applied(empty_instance)
    file = tmp_path / "mine.toml"
    file.write_text("[intraday]\nevery_minutes = 15\n")

    made = run_provision(empty_instance, "--config", str(file))
    again = run_provision(empty_instance, "--config", str(file))
    file.write_text("[intraday]\nevery_minutes = 60\n")
    changed = run_provision(empty_instance, "--config", str(file))
    deleted = run_provision(empty_instance)

    assert "+ job aggregate-intraday: */15 * * * * Etc/UTC\n" in made.output
    assert "aggregate-intraday" not in again.output
    assert "~ job aggregate-intraday: schedule: */15 * * * * → 0 */1 * * *, description: " in changed.output
    assert "- job aggregate-intraday: isn't declared\n" in deleted.output
    assert "aggregate-intraday" not in run_provision(empty_instance).output
