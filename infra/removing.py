"""Remove topics, subscriptions and tables, on the emulators and on Google Cloud by the same calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from infra.provision import _bigtable, _pubsub
from infra.resources import RESOURCES, Resources
from shared.config import Settings
from shared.errors import SettingsError, StoreUnavailableError

_TIMEOUT = 60.0


def names(resources: Resources = RESOURCES, *, tables: bool) -> list[str]:
    """Return what would be removed if it is there, in that order."""
    return [
        *(f"subscription {each.name}" for each in resources.subscriptions),
        *(f"topic {topic}" for topic in resources.topics),
        *((f"table {table.name} with all that is in it" for table in resources.tables) if tables else ()),
    ]


def remove(settings: Settings, resources: Resources = RESOURCES, *, tables: bool) -> list[str]:
    """Remove what is there of the declared resources; returns a line for each thing removed.

    Args:
        settings: of the project and the instance.
        resources: all that may be removed.
        tables: remove the tables too, and the data in them.

    Raises:
        SettingsError: it may not be removed.
        StoreUnavailableError: the service doesn't answer.
    """
    removed = []
    try:
        for what, delete in _deletions(settings, resources, tables):
            if _removed(what, delete):
                removed.append(what)
    except GoogleAuthError as error:
        raise SettingsError(f"credentials of Google Cloud: {error}") from None
    return removed


def _deletions(settings: Settings, resources: Resources, tables: bool) -> Iterator[tuple[str, Callable[..., object]]]:
    project = f"projects/{settings.project_id}"
    with _pubsub(settings) as (publisher, subscriber):
        # A subscription would outlive its topic, and keep its messages.
        for subscription in resources.subscriptions:
            name = f"{project}/subscriptions/{subscription.name}"
            yield f"subscription {subscription.name}", partial(subscriber.delete_subscription, subscription=name)
        for topic in resources.topics:
            yield f"topic {topic}", partial(publisher.delete_topic, topic=f"{project}/topics/{topic}")
    if tables:
        with _bigtable(settings) as admin:
            for table in resources.tables:
                name = f"{project}/instances/{settings.instance_id}/tables/{table.name}"
                yield f"table {table.name}", partial(admin.delete_table, name=name)


def _removed(what: str, delete: Callable[..., object]) -> bool:
    """Delete a thing; returns False if there was none."""
    try:
        delete(timeout=_TIMEOUT)
    except exceptions.NotFound:
        return False
    except (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.RetryError) as error:
        raise StoreUnavailableError(f"{what}: the service doesn't answer: {error.message}") from None
    except exceptions.GoogleAPICallError as error:
        raise SettingsError(f"{what}: can't be removed: {error.message}") from None
    return True
