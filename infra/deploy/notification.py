"""The notification by which Cloud Storage announces the new objects of a bucket."""

from __future__ import annotations

from collections.abc import Iterator

from infra.deploy.gcloud import Action, Command, Lookup, Step, gcloud
from infra.provision.marks import LABEL
from shared.names import resource_name
from shared.pubsub.load_requests import TOPIC

_COMMANDS = ("storage", "buckets", "notifications")


def find_notification(project: str, bucket: str, name: str) -> Command:
    """Return the command that looks up a pipeline's notification, by its custom attribute; it prints the id.

    Args:
        project: of the bucket.
        bucket: its name.
        name: that of the pipeline.
    """
    own = f'"Notification Configuration".custom_attributes.{LABEL}={name}'
    form = 'value("Notification Configuration".selfLink.basename())'
    return gcloud(*_COMMANDS, "list", f"gs://{bucket}", filter=own, format=form, project=project)


def notification_steps(project: str, bucket: str, name: str) -> Iterator[Step]:
    """Return the steps that create the notification if there is none; arguments as those of `find_notification`."""
    title = f"the notification of new objects of {bucket}"
    yield Lookup(title, "NOTIFICATION", find_notification(project, bucket, name))
    create = gcloud(
        *_COMMANDS,
        *("create", f"gs://{bucket}"),
        topic=f"projects/{project}/topics/{resource_name(name, TOPIC)}",
        event_types="OBJECT_FINALIZE",
        payload_format="json",
        custom_attributes=f"{LABEL}={name}",
        skip_topic_setup=True,  # `sluice provision` creates the topic, and `sluice deploy` grants the role on it
        project=project,
    )
    yield Action(title, create, if_empty="NOTIFICATION")


def find_bucket(project: str, bucket: str) -> Command:
    """Return the command that looks up a bucket."""
    return gcloud("storage", "buckets", "list", filter=f"name={bucket}", format="value(name)", project=project)


def delete_notification_steps(project: str, bucket: str, name: str, condition: str) -> Iterator[Step]:
    """Return the steps that delete the notification. The bucket is the user's, and may be gone.

    Args:
        project: of the bucket.
        bucket: its name.
        name: that of the pipeline.
        condition: the variable that says whether the API is enabled.
    """
    title = f"the notification of new objects of {bucket}"
    yield Lookup(title, "BUCKET", find_bucket(project, bucket), if_set=condition)
    yield Lookup(title, "NOTIFICATION", find_notification(project, bucket, name), if_set="BUCKET")
    resource = f"projects/_/buckets/{bucket}/notificationConfigs/${{NOTIFICATION}}"
    yield Action(title, gcloud(*_COMMANDS, "delete", resource, project=project), if_set="NOTIFICATION")
