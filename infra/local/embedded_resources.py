"""Creates the declared resources in new embedded emulators, with the emulators' own messages.

Google's clients, which `infra.provision` uses, take five seconds to import; a stack starts in two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc
from google.protobuf.duration_pb2 import Duration

from infra.emulators.bigtable.admin import admin_pb2 as bigtable
from infra.emulators.protos import pubsub_pb2 as pubsub
from infra.emulators.protos import scheduler_pb2 as scheduler
from infra.provision.marks import LABEL
from infra.provision.resource_types import GcRule, Job, Subscription, Table
from infra.provision.resources import Resources
from shared.config import Settings
from shared.errors import StackError

_TIMEOUT = 30.0  # seconds, in which the server also starts

# A method and its request.
_Call = tuple[str, Any]


def create_resources(settings: Settings, resources: Resources) -> None:
    """Create all resources in emulators that have none.

    Args:
        settings: the project on embedded emulators.
        resources: the declared resources.

    Raises:
        StackError: an emulator refuses a request or doesn't answer.
    """
    _send(settings, _creations(settings, resources.named(settings.name)))


def run_job(settings: Settings, job: str) -> None:
    """Run a declared job now, without waiting for its message; raises StackError."""
    name = f"{_location(settings)}/jobs/{settings.resource(job)}"
    _send(settings, [("/google.cloud.scheduler.v1.CloudScheduler/RunJob", scheduler.RunJobRequest(name=name))])


def _send(settings: Settings, calls: Iterable[_Call]) -> None:
    with grpc.insecure_channel(str(settings.bigtable_emulator)) as channel:
        for method, request in calls:
            call = channel.unary_unary(method, request_serializer=type(request).SerializeToString)
            try:
                call(request, timeout=_TIMEOUT, wait_for_ready=True)
            except grpc.RpcError as error:
                raise StackError(f"{method}: {error.details()}") from None


def _creations(settings: Settings, resources: Resources) -> Iterator[_Call]:
    """Yield the calls, topics before what refers to them."""
    project = f"projects/{settings.project_id}"
    instance = f"{project}/instances/{settings.instance_id}"
    location = _location(settings)
    labels = {LABEL: settings.name}
    for topic in resources.topics:
        yield "/google.pubsub.v1.Publisher/CreateTopic", pubsub.Topic(name=f"{project}/topics/{topic}", labels=labels)
    for each in resources.subscriptions:
        yield "/google.pubsub.v1.Subscriber/CreateSubscription", _subscription(project, labels, each)
    for table in resources.tables:
        yield "/google.bigtable.admin.v2.BigtableTableAdmin/CreateTable", _table(instance, table)
    for job in resources.jobs:
        request = scheduler.CreateJobRequest(parent=location, job=_job(project, location, job))
        yield "/google.cloud.scheduler.v1.CloudScheduler/CreateJob", request


def _location(settings: Settings) -> str:
    return f"projects/{settings.project_id}/locations/{settings.region}"


def _subscription(project: str, labels: dict[str, str], wanted: Subscription) -> pubsub.Subscription:
    message = pubsub.Subscription(
        name=f"{project}/subscriptions/{wanted.name}",
        topic=f"{project}/topics/{wanted.topic}",
        labels=labels,
        ack_deadline_seconds=int(wanted.ack_deadline.total_seconds()),
        message_retention_duration=_duration(wanted.retention),
        expiration_policy=pubsub.ExpirationPolicy(),  # without a ttl it never expires
        filter=wanted.filter,
        enable_message_ordering=wanted.ordered,
        enable_exactly_once_delivery=wanted.exactly_once,
        push_config=pubsub.PushConfig(push_endpoint=wanted.push_endpoint),
    )
    if wanted.maximum_backoff:
        message.retry_policy.minimum_backoff.FromTimedelta(wanted.minimum_backoff)
        message.retry_policy.maximum_backoff.FromTimedelta(wanted.maximum_backoff)
    if wanted.dead_letter:
        message.dead_letter_policy.dead_letter_topic = f"{project}/topics/{wanted.dead_letter}"
        message.dead_letter_policy.max_delivery_attempts = wanted.attempts
    return message


def _table(instance: str, wanted: Table) -> bigtable.CreateTableRequest:
    request = bigtable.CreateTableRequest(parent=instance, table_id=wanted.name)
    for family, rule in wanted.all_families.items():
        request.table.column_families[family].gc_rule.CopyFrom(_gc_rule(rule))
    request.initial_splits.extend(bigtable.CreateTableRequest.Split(key=key) for key in wanted.splits)
    return request


def _gc_rule(rule: GcRule) -> bigtable.GcRule:
    limits = [] if rule.versions is None else [bigtable.GcRule(max_num_versions=rule.versions)]
    limits += [] if rule.age is None else [bigtable.GcRule(max_age=_duration(rule.age))]
    if len(limits) < 2:
        return limits[0] if limits else bigtable.GcRule()
    return bigtable.GcRule(union=bigtable.GcRule.Union(rules=limits))


def _job(project: str, location: str, wanted: Job) -> scheduler.Job:
    return scheduler.Job(
        name=f"{location}/jobs/{wanted.name}",
        description=wanted.description,
        schedule=wanted.schedule,
        time_zone=wanted.time_zone,
        pubsub_target=scheduler.PubsubTarget(
            topic_name=f"{project}/topics/{wanted.topic}", data=wanted.data, attributes=wanted.attributes
        ),
        retry_config=scheduler.RetryConfig(
            retry_count=wanted.retries,
            max_retry_duration=_duration(wanted.retry_for),
            min_backoff_duration=_duration(wanted.minimum_backoff),
            max_backoff_duration=_duration(wanted.maximum_backoff),
            max_doublings=wanted.doublings,
        ),
    )


def _duration(value: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(value)
    return duration
