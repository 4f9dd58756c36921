"""The copies of events that an erasure can't reach, with the commands that list or remove them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from shared.config import Settings


class Copies(NamedTuple):
    """A place with copies of events, and the commands for it."""

    where: str
    commands: tuple[tuple[str, ...], ...] = ()


def copies(settings: Settings, moment: datetime) -> list[Copies]:
    """Return the places outside of the tables that may have events of an erased user.

    Args:
        settings: the project, the instance and the name of the pipeline.
        moment: the current time; dead letters that were published before can be dropped.
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
        Copies("the files that events came from, and exports"),
    ]
