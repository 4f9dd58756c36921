"""Make what is missing of the resources, on the emulators and on Google Cloud by the same calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import BigtableTableAdminGrpcTransport
from google.cloud.bigtable_admin_v2.types import ColumnFamily, CreateTableRequest, GcRule
from google.cloud.bigtable_admin_v2.types import Table as TableMessage
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import DeadLetterPolicy, ExpirationPolicy, RetryPolicy
from google.pubsub_v1.types import Subscription as SubscriptionMessage

from infra.resources import RESOURCES, Collection, Resources, Subscription, Table
from shared.config import Settings
from shared.errors import SettingsError, StoreUnavailableError
from shared.retry import is_transient

_TIMEOUT = 60.0
_EMULATED_RETENTION = timedelta(days=7)  # the emulator refuses more; Pub/Sub itself takes 31


def provision(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Make all that is missing; returns a line for each thing made, none if everything was there.

    Raises:
        SettingsError: it may not be made, or the instance doesn't exist.
        StoreUnavailableError: the service doesn't answer.
    """
    try:
        return [*provision_pubsub(settings, resources), *provision_bigtable(settings, resources)]
    except GoogleAuthError as error:
        raise SettingsError(f"credentials of Google Cloud: {error}") from None


def provision_pubsub(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Make the missing topics and subscriptions; errors and result like `provision`."""
    project = f"projects/{settings.project_id}"
    made = []
    with _pubsub(settings) as (publisher, subscriber):
        for topic in resources.topics:
            name = f"{project}/topics/{topic}"
            if _made(f"topic {topic}", partial(publisher.create_topic, name=name)):
                made.append(f"topic {topic}")
        for subscription in resources.subscriptions:
            request = _subscription(project, subscription, emulated=settings.pubsub_emulator is not None)
            if _made(
                f"subscription {subscription.name}",
                partial(subscriber.create_subscription, request=request),
            ):
                made.append(f"subscription {subscription.name} of topic {subscription.topic}")
    return made


def provision_bigtable(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Make the missing tables; errors and result like `provision`."""
    made = []
    with _bigtable(settings) as admin:
        for table in resources.tables:
            request = _table(f"projects/{settings.project_id}/instances/{settings.instance_id}", table)
            if _made(
                f"table {table.name}",
                partial(admin.create_table, request=request),
            ):
                splits = f" split at {len(table.splits)} keys" if table.splits else ""
                made.append(f"table {table.name} with families {', '.join(table.families)}{splits}")
    return made


def _made(what: str, make: Callable[..., object]) -> bool:
    """Make a thing; returns False if it was there."""
    try:
        make(timeout=_TIMEOUT, retry=Retry(is_transient, timeout=_TIMEOUT))
    except exceptions.AlreadyExists:
        return False
    except (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.RetryError) as error:
        raise StoreUnavailableError(f"{what}: the service doesn't answer: {error.message}") from None
    except exceptions.GoogleAPICallError as error:
        raise SettingsError(f"{what}: can't be made: {error.message}") from None
    return True


def _subscription(project: str, wanted: Subscription, *, emulated: bool) -> SubscriptionMessage:
    message = SubscriptionMessage(
        name=f"{project}/subscriptions/{wanted.name}",
        topic=f"{project}/topics/{wanted.topic}",
        ack_deadline_seconds=int(wanted.ack_deadline.total_seconds()),
        message_retention_duration=min(wanted.retention, _EMULATED_RETENTION) if emulated else wanted.retention,
        retry_policy=RetryPolicy(minimum_backoff=wanted.minimum_backoff, maximum_backoff=wanted.maximum_backoff),
    )
    if not wanted.expires:
        message.expiration_policy = ExpirationPolicy()  # without a time to live, it has none
    if wanted.dead_letter:
        message.dead_letter_policy = DeadLetterPolicy(
            dead_letter_topic=f"{project}/topics/{wanted.dead_letter}", max_delivery_attempts=wanted.attempts
        )
    return message


def _table(instance: str, wanted: Table) -> CreateTableRequest:
    families = {name: ColumnFamily(gc_rule=_rule(collection)) for name, collection in wanted.families.items()}
    return CreateTableRequest(
        parent=instance,
        table_id=wanted.name,
        table=TableMessage(column_families=families),
        initial_splits=[CreateTableRequest.Split(key=key) for key in wanted.splits],
    )


def _rule(collection: Collection) -> GcRule | None:
    if collection.versions is not None:
        return GcRule(max_num_versions=collection.versions)
    return None if collection.age is None else GcRule(max_age=collection.age)


@contextmanager
def _pubsub(settings: Settings) -> Iterator[tuple[PublisherClient, SubscriberClient]]:
    if settings.pubsub_emulator:
        with grpc.insecure_channel(settings.pubsub_emulator) as channel:
            yield (
                PublisherClient(transport=PublisherGrpcTransport(channel=channel)),
                SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)),
            )
    else:
        with PublisherClient() as publisher, SubscriberClient() as subscriber:
            yield publisher, subscriber


@contextmanager
def _bigtable(settings: Settings) -> Iterator[BigtableTableAdminClient]:
    if settings.bigtable_emulator:
        with grpc.insecure_channel(settings.bigtable_emulator) as channel:
            yield BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))
    else:
        with BigtableTableAdminClient() as admin:
            yield admin
