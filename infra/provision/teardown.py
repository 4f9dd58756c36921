"""Remove the job, topics, subscriptions and tables, on the emulators and on Google Cloud by the same calls."""

from __future__ import annotations

from collections.abc import Iterator

from infra.provision.bigtable import open_bigtable
from infra.provision.google_api import BIGTABLE, PUBSUB, SCHEDULER, ApiDisabledError, Caller
from infra.provision.pubsub import open_pubsub
from infra.provision.resources import RESOURCES, Resources
from infra.provision.scheduler import open_schedule
from infra.provision.scheduler_client import location
from shared.config import Settings


def resource_names(resources: Resources = RESOURCES, *, tables: bool) -> list[str]:
    """Return what would be removed if it is there, in that order."""
    return [
        *(f"job {job.name}" for job in resources.jobs),
        *(f"subscription {each.name}" for each in resources.subscriptions),
        *(f"topic {topic}" for topic in resources.topics),
        *((f"table {table.name} with all that is in it" for table in resources.tables) if tables else ()),
    ]


def remove_resources(settings: Settings, resources: Resources = RESOURCES, *, tables: bool) -> list[str]:
    """Remove what is there of the declared resources; returns a line for each thing removed.

    Of an API that isn't enabled there is nothing to remove: a line says that it was passed over.

    Args:
        settings: of the project and the instance.
        resources: all that may be removed.
        tables: remove the tables too, and the data in them.

    Raises:
        SettingsError: it may not be removed.
        StoreUnavailableError: the service doesn't answer.
    """
    # The job first, so that nothing is asked for any more. A laptop may have emulators without a scheduler.
    deletions = [_jobs] if settings.scheduler_emulator or not settings.pubsub_emulator else []
    deletions += [_topics, *([_tables] if tables else [])]
    lines = []
    for delete in deletions:
        try:
            lines += [f"removed {what}" for what, was_there in delete(settings, resources) if was_there]
        except ApiDisabledError as error:
            lines.append(f"passed over {error}")
    return lines


def _jobs(settings: Settings, resources: Resources) -> Iterator[tuple[str, bool]]:
    """Delete one thing after the other; yields what, and whether it was there. The others likewise."""
    with open_schedule(settings, resources) as schedule:
        caller = Caller(settings, SCHEDULER)
        for job in resources.jobs:
            what, name = f"job {job.name}", f"{location(settings)}/jobs/{job.name}"
            yield what, caller.remove(what, schedule.client.delete_job, name=name)


def _topics(settings: Settings, resources: Resources) -> Iterator[tuple[str, bool]]:
    project = f"projects/{settings.project_id}"
    with open_pubsub(settings, resources) as pubsub:
        caller = Caller(settings, PUBSUB)
        # A subscription would outlive its topic, and keep its messages.
        for subscription in resources.subscriptions:
            what, name = f"subscription {subscription.name}", f"{project}/subscriptions/{subscription.name}"
            yield what, caller.remove(what, pubsub.subscriber.delete_subscription, subscription=name)
        for topic in resources.topics:
            what, name = f"topic {topic}", f"{project}/topics/{topic}"
            yield what, caller.remove(what, pubsub.publisher.delete_topic, topic=name)


def _tables(settings: Settings, resources: Resources) -> Iterator[tuple[str, bool]]:
    instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
    with open_bigtable(settings, resources) as bigtable:
        caller = Caller(settings, BIGTABLE)
        for table in resources.tables:
            what, name = f"table {table.name}", f"{instance}/tables/{table.name}"
            yield what, caller.remove(what, bigtable.admin.delete_table, name=name)
