"""`sluice destroy` on the emulators: deleted resources, remaining resources, confirmations."""

from __future__ import annotations

import click
import grpc
import pytest
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import BigtableTableAdminGrpcTransport
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from infra.provision.bigtable import open_bigtable, table_message
from infra.provision.pubsub import open_pubsub
from infra.provision.resources import RESOURCES
from infra.provision.scheduler_client import location, scheduler_client
from shared.config import Settings
from tests.support.command_line import Result, Sluice
from tests.support.provisioning import provision

TOPICS = sorted(RESOURCES.topics)
SUBSCRIPTIONS = sorted(each.name for each in RESOURCES.subscriptions)
TABLES = sorted(table.name for table in RESOURCES.tables)


@pytest.fixture
def destroy(settings: Settings, sluice: Sluice, monkeypatch: pytest.MonkeyPatch) -> Sluice:
    """Run the command in a project with all resources; `typed` are the answers to its prompts."""
    provision(settings)

    def run(*arguments: str, typed: tuple[str, ...] = ()) -> Result:
        answers = iter(typed)

        def prompt(question: str, **_: object) -> str:
            try:
                return next(answers)
            except StopIteration:
                raise click.Abort from None

        monkeypatch.setattr(click, "prompt", prompt)
        return sluice("destroy", *arguments)

    return run


def existing(settings: Settings) -> tuple[list[str], list[str], list[str]]:
    """Return the existing topics, subscriptions and tables."""
    with grpc.insecure_channel(str(settings.pubsub_emulator)) as channel:
        project = f"projects/{settings.project_id}"
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        topics = [each.name for each in publisher.list_topics(project=project)]
        subscriptions = [each.name for each in subscriber.list_subscriptions(project=project)]
    with grpc.insecure_channel(str(settings.bigtable_emulator)) as channel:
        admin = BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))
        instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
        tables = [each.name for each in admin.list_tables(parent=instance)]
    short = [sorted(name.rsplit("/", 1)[-1] for name in names) for names in (topics, subscriptions, tables)]
    return short[0], short[1], short[2]


def jobs(settings: Settings) -> list[str]:
    with scheduler_client(settings) as client:
        return [job.name.rsplit("/", 1)[-1] for job in client.list_jobs(parent=location(settings))]


def test_the_job_is_deleted_first(destroy: Sluice, settings: Settings) -> None:
    """So that it doesn't publish to a deleted topic."""
    assert jobs(settings) == ["aggregate-daily"]

    done = destroy("--yes")

    assert jobs(settings) == []
    assert done.out.startswith("removed job aggregate-daily\nremoved subscription events-ingest\n")


def test_other_resources_are_deleted_without_a_scheduler_emulator(
    destroy: Sluice, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUD_SCHEDULER_EMULATOR_HOST")

    done = destroy("--yes")

    assert done.out.startswith("removed subscription events-ingest\n")
    assert jobs(settings) == ["aggregate-daily"]


def test_tables_remain_without_the_tables_option(destroy: Sluice, settings: Settings) -> None:
    assert existing(settings) == (TOPICS, SUBSCRIPTIONS, TABLES)

    done = destroy("--yes")

    assert done.code == 0
    assert existing(settings) == ([], [], TABLES)
    assert "removed topic events\n" in done.out
    assert "the tables stay" in done.out
    assert "found no jobs, topics, subscriptions" in destroy("--yes").out


def test_tables_are_deleted_after_two_confirmations(destroy: Sluice, settings: Settings) -> None:
    done = destroy("--tables", typed=(settings.project_id, settings.instance_id))

    assert done.code == 0
    assert existing(settings) == ([], [], [])
    assert destroy("--tables", "--yes", "--yes-delete-data").code == 0


@pytest.mark.parametrize("options", [("--yes", "--tables"), ("--tables",), (), ("--yes-delete-data", "--tables")])
def test_nothing_is_deleted_without_every_confirmation(
    destroy: Sluice, settings: Settings, options: tuple[str, ...]
) -> None:
    done = destroy(*options)

    assert done.code == 1
    assert "nothing was removed" in done.err
    assert existing(settings) == (TOPICS, SUBSCRIPTIONS, TABLES)


def test_nothing_is_deleted_after_a_wrong_name(destroy: Sluice, settings: Settings) -> None:
    first = destroy("--tables", typed=("other-project",))
    second = destroy("--tables", typed=(settings.project_id, "y"))

    assert (first.code, second.code) == (1, 1)
    assert f"found 'other-project', expected '{settings.project_id}'" in first.err
    assert f"found 'y', expected '{settings.instance_id}'" in second.err
    assert existing(settings) == (TOPICS, SUBSCRIPTIONS, TABLES)


def test_a_dry_run_deletes_nothing(destroy: Sluice, settings: Settings) -> None:
    done = destroy("--dry-run", "--tables")

    assert done.code == 0
    assert "# subscription events-ingest\n" in done.out
    assert "# table events with all its data\n" in done.out
    assert existing(settings) == (TOPICS, SUBSCRIPTIONS, TABLES)


@pytest.mark.parametrize("kind", ["topic", "job", "table"])
def test_nothing_is_deleted_if_a_resource_has_no_mark(destroy: Sluice, settings: Settings, kind: str) -> None:
    title = _remove_mark(settings, kind)
    before = existing(settings)

    done = destroy("--yes", "--tables", "--yes-delete-data")

    assert done.code == 1
    assert f"{title}: found no mark, expected sluice=sluice; nothing was changed" in done.err
    assert (existing(settings), jobs(settings)) == (before, ["aggregate-daily"])
    assert destroy("--yes").code == (0 if kind == "table" else 1)


def _remove_mark(settings: Settings, kind: str) -> str:
    """Give a resource no mark, and return its title."""
    if kind == "job":
        with scheduler_client(settings) as client:
            name = f"{location(settings)}/jobs/aggregate-daily"
            client.update_job(job={"name": name, "description": "mine"}, update_mask={"paths": ["description"]})
        return "job aggregate-daily"
    if kind == "table":
        with open_bigtable(settings, RESOURCES) as tables:
            # A change of a family would make the emulator collect garbage in the tables of all tests.
            instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
            tables.admin.delete_table(name=f"{instance}/tables/events")
            tables.admin.create_table(request=table_message(instance, RESOURCES.tables[0]))
        return "table events"
    with open_pubsub(settings, RESOURCES) as pubsub:  # the emulator can't change labels
        name = f"projects/{settings.project_id}/topics/aggregate-requests"
        pubsub.publisher.delete_topic(topic=name)
        pubsub.publisher.create_topic(name=name)
    return "topic aggregate-requests"


def test_settings_that_mix_emulators_and_google_cloud_delete_nothing(
    destroy: Sluice, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BIGTABLE_EMULATOR_HOST")

    done = destroy("--yes")

    assert done.code == 1
    assert (
        "found PUBSUB_EMULATOR_HOST and CLOUD_SCHEDULER_EMULATOR_HOST without BIGTABLE_EMULATOR_HOST, "
        "expected all of them for emulators or none for Google Cloud"
    ) in done.err
    assert existing(settings)[0] == TOPICS
