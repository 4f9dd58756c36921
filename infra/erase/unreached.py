"""The copies of events that an erasure can't reach, with the commands that list or remove them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.tables.loads import LoadsTable


class Copies(NamedTuple):
    """A place with copies of events, and the commands for it."""

    where: str
    commands: tuple[tuple[str, ...], ...] = ()


async def loaded_buckets(bigtable: Bigtable) -> list[str]:
    """Return the buckets whose objects `load` has loaded, in order of their names."""
    return sorted({state.load.object.bucket async for state in LoadsTable(bigtable).all()})


def copies(settings: Settings, moment: datetime, buckets: Sequence[str] = ()) -> list[Copies]:
    """Return the places outside of the tables that may have events of an erased user.

    Args:
        settings: the project, the instance and the name of the pipeline.
        moment: the current time; dead letters that were published before can be dropped.
        buckets: the buckets of loaded objects. The messages of `load` have the names of objects, and no events.
    """
    project = f"--project={settings.project_id}"
    ingest, kept = settings.resource("events-ingest"), settings.resource("events-dead-letter-keep")
    log_filter = f'resource.labels.service_name="{settings.resource("ingest")}"'
    return [
        Copies(
            "messages that Pub/Sub still delivers or retains: wait for its retention, and erase again",
            (("gcloud", "pubsub", "subscriptions", "describe", ingest, project),),
        ),
        Copies(
            "dead letters: replay them and erase again, or drop all of them",
            (
                ("sluice", "replay", "dead-letters", f"--project-id={settings.project_id}"),
                ("gcloud", "pubsub", "subscriptions", "seek", kept, f"--time={moment:%Y-%m-%dT%H:%M:%SZ}", project),
            ),
        ),
        Copies(
            "backups of the tables: delete those that are older than the erasure",
            (("gcloud", "bigtable", "backups", "list", f"--instance={settings.instance_id}", project),),
        ),
        Copies(
            "logs, which name the keys of large rows",
            (("gcloud", "logging", "read", log_filter, "--limit=10", project),),
        ),
        *(
            Copies(
                f"objects of the bucket {bucket} that were loaded, and their earlier and soft-deleted versions: delete "
                "those with events of the users",
                (
                    ("gcloud", "storage", "ls", "--all-versions", f"gs://{bucket}/**", project),
                    ("gcloud", "storage", "ls", "--soft-deleted", f"gs://{bucket}/**", project),
                ),
            )
            for bucket in buckets
        ),
        Copies(f"the {'other ' if buckets else ''}files that events came from, and exports"),
    ]
