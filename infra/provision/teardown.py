"""Delete the jobs, subscriptions, topics and tables, on emulators and on Google Cloud."""

from __future__ import annotations

from collections.abc import Iterator

from infra.provision.bigtable import open_bigtable
from infra.provision.google_api import BIGTABLE, PUBSUB, SCHEDULER, ApiDisabledError, Caller
from infra.provision.pubsub import open_pubsub
from infra.provision.resources import ALL_RESOURCES, Resources
from infra.provision.scheduler import open_schedule
from infra.provision.scheduler_client import location
from shared.config import Settings


def resource_names(settings: Settings, resources: Resources = ALL_RESOURCES, *, tables: bool) -> list[str]:
    """Return the resources that `remove_resources` would delete, in that order."""
    named = resources.named(settings.name)
    return [
        *(f"job {job.name}" for job in named.jobs),
        *(f"subscription {each.name}" for each in named.subscriptions),
        *(f"topic {topic}" for topic in named.topics),
        *((f"table {table.name} with all its data" for table in named.tables) if tables else ()),
    ]


def remove_resources(settings: Settings, resources: Resources = ALL_RESOURCES, *, tables: bool) -> list[str]:
    """Delete the declared resources that exist; returns a line for each one deleted.

    The caller has checked that they are the pipeline's: see `infra.doctor.ownership.require_marks`. An API that isn't
    enabled has no resources. It is skipped with a line that says so.

    Args:
        settings: the project, the instance and the name of the pipeline.
        resources: the resources to delete.
        tables: also delete the tables and their data.

    Raises:
        SettingsError: the caller lacks permission.
        StoreUnavailableError: the service doesn't answer.
    """
    # The jobs first, so that no new request is published. A local stack may have emulators without a scheduler.
    deletions = [_delete_jobs] if settings.scheduler_emulator or not settings.pubsub_emulator else []
    deletions += [_delete_topics, *([_delete_tables] if tables else [])]
    lines = []
    for delete in deletions:
        try:
            lines += [f"removed {title}" for title, existed in delete(settings, resources) if existed]
        except ApiDisabledError as error:
            lines.append(f"skipped {error}")
    return lines


def _delete_jobs(settings: Settings, resources: Resources) -> Iterator[tuple[str, bool]]:
    """Delete each job; yields its title and whether it existed."""
    with open_schedule(settings, resources) as schedule:
        caller = Caller(settings, SCHEDULER)
        for job in resources.named(settings.name).jobs:
            title, name = f"job {job.name}", f"{location(settings)}/jobs/{job.name}"
            yield title, caller.delete(title, schedule.client.delete_job, name=name)


def _delete_topics(settings: Settings, resources: Resources) -> Iterator[tuple[str, bool]]:
    """Delete each subscription and topic; yields its title and whether it existed."""
    project = f"projects/{settings.project_id}"
    named = resources.named(settings.name)
    with open_pubsub(settings, resources) as pubsub:
        caller = Caller(settings, PUBSUB)
        # Deleting a topic leaves its subscriptions and their messages.
        for subscription in named.subscriptions:
            title, name = f"subscription {subscription.name}", f"{project}/subscriptions/{subscription.name}"
            yield title, caller.delete(title, pubsub.subscriber.delete_subscription, subscription=name)
        for topic in named.topics:
            title, name = f"topic {topic}", f"{project}/topics/{topic}"
            yield title, caller.delete(title, pubsub.publisher.delete_topic, topic=name)


def _delete_tables(settings: Settings, resources: Resources) -> Iterator[tuple[str, bool]]:
    """Delete each table; yields its title and whether it existed."""
    instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
    with open_bigtable(settings, resources) as bigtable:
        caller = Caller(settings, BIGTABLE)
        for table in resources.named(settings.name).tables:
            title, name = f"table {table.name}", f"{instance}/tables/{table.name}"
            yield title, caller.delete(title, bigtable.admin.delete_table, name=name)
