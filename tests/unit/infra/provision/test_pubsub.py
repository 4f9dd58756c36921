"""Subscriptions on Google Cloud: they push to the deployed functions, and differences are changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.pubsub_v1.types import ExpirationPolicy, Subscription, Topic, UpdateSubscriptionRequest, UpdateTopicRequest
from msgspec.structs import replace

from infra.provision.plan import Change
from infra.provision.pubsub import PubSub
from infra.provision.resources import RESOURCES, Resources
from shared.config import Settings

URLS = {"ingest": "https://ingest-x-uc.a.run.app", "aggregate": "https://aggregate-x-uc.a.run.app"}
ACCOUNT = "sluice-push@p.iam.gserviceaccount.com"
DEPLOYED = RESOURCES.with_push(URLS, ACCOUNT)


class Cloud:
    """A fake Pub/Sub with subscriptions, which records updates and creations."""

    def __init__(self, *subscriptions: Subscription) -> None:
        self.subscriptions = {each.name: each for each in subscriptions}
        names = [f"projects/p/topics/{name}" for name in RESOURCES.topics]
        self.topics = {name: Topic(name=name, labels={"sluice": "sluice"}) for name in names}
        self.updates: list[UpdateSubscriptionRequest] = []

    def get_topic(self, *, topic: str, **_: Any) -> Topic:
        if topic not in self.topics:
            raise exceptions.NotFound("Resource not found")
        return self.topics[topic]

    def update_topic(self, *, request: UpdateTopicRequest, **_: Any) -> None:
        assert list(request.update_mask.paths) == ["labels"]
        self.topics[request.topic.name] = request.topic

    def get_subscription(self, *, subscription: str, **_: Any) -> Subscription:
        if subscription not in self.subscriptions:
            raise exceptions.NotFound("Resource not found")
        return self.subscriptions[subscription]

    def create_subscription(self, *, request: Subscription, **_: Any) -> None:
        self.subscriptions[request.name] = request

    def update_subscription(self, *, request: UpdateSubscriptionRequest, **_: Any) -> None:
        self.updates.append(request)
        self.subscriptions[request.subscription.name] = request.subscription


def connected(cloud: Cloud, resources: Resources = DEPLOYED) -> PubSub:
    return PubSub(Settings("p", "i"), resources, cloud, cloud)


def provisioned(resources: Resources = DEPLOYED) -> Cloud:
    """Return a cloud in which all resources are as declared."""
    cloud = Cloud()
    pubsub = connected(cloud, resources)
    for change in pubsub.plan():
        pubsub.apply(change)
    return cloud


def name(subscription: str) -> str:
    return f"projects/p/subscriptions/{subscription}"


def lines(changes: list[Change]) -> list[str]:
    return [change.line() for change in changes]


def test_subscriptions_push_to_the_functions_with_an_identity() -> None:
    cloud = provisioned()

    config = cloud.subscriptions[name("events-ingest")].push_config
    assert config.push_endpoint == URLS["ingest"]
    assert (config.oidc_token.service_account_email, config.oidc_token.audience) == (ACCOUNT, URLS["ingest"])
    assert cloud.subscriptions[name("aggregate-run")].push_config.push_endpoint == URLS["aggregate"]
    assert not cloud.subscriptions[name("events-dead-letter-keep")].push_config.push_endpoint
    assert connected(cloud).plan() == []


def test_messages_wait_until_the_functions_are_deployed() -> None:
    cloud = provisioned(RESOURCES)
    waiting = cloud.subscriptions[name("events-ingest")]
    assert not waiting.push_config.push_endpoint
    assert waiting.message_retention_duration == timedelta(days=7)

    pubsub = connected(cloud)
    changes = pubsub.plan()

    assert lines(changes) == [
        f"~ subscription events-ingest: push endpoint: none → {URLS['ingest']}, push account: none → {ACCOUNT}",
        f"~ subscription aggregate-run: push endpoint: none → {URLS['aggregate']}, push account: none → {ACCOUNT}",
    ]
    pubsub.apply(changes[0])
    [update] = cloud.updates
    assert list(update.update_mask.paths) == ["push_config"]
    assert lines(connected(cloud).plan()) == lines(changes)[1:]


def test_a_note_says_which_function_is_missing() -> None:
    pubsub = connected(Cloud(), RESOURCES.with_push({"ingest": URLS["ingest"]}))
    pubsub.plan()

    assert pubsub.notes == [
        "subscription aggregate-run: there is no function aggregate, and it keeps the messages until then; "
        "`sluice deploy` deploys the function and sets its address here"
    ]


def test_a_function_that_isnt_found_keeps_its_pushes() -> None:
    """Another region given by mistake must not stop the deliveries."""
    pubsub = connected(provisioned(), RESOURCES)

    assert pubsub.plan() == []
    assert [note.split(";")[0] for note in pubsub.notes] == [
        f"subscription events-ingest: there is no function ingest, and it keeps pushing to {URLS['ingest']}",
        f"subscription aggregate-run: there is no function aggregate, and it keeps pushing to {URLS['aggregate']}",
    ]


def test_other_identities_and_addresses_are_drift() -> None:
    cloud = provisioned()
    config = cloud.subscriptions[name("events-ingest")].push_config
    config.push_endpoint, config.oidc_token.service_account_email = "https://other", "me@p.iam.gserviceaccount.com"

    assert lines(connected(cloud).plan()) == [
        f"~ subscription events-ingest: push endpoint: https://other → {URLS['ingest']}, "
        f"push account: me@p.iam.gserviceaccount.com → {ACCOUNT}"
    ]


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        ({"ack_deadline_seconds": 10}, "~ subscription events-ingest: ack deadline: 10 s → 600 s"),
        ({"dead_letter_policy": None}, "~ subscription events-ingest: dead-letter topic: none → events-dead-letter, "),
        ({"message_retention_duration": timedelta(days=1)}, "~ subscription events-ingest: retention: 1 day → 7 days"),
        ({"expiration_policy": ExpirationPolicy(ttl=timedelta(days=31))}, "expires after: 31 days → none"),
        ({"expiration_policy": None}, "expires after: 31 days → none"),
        ({"detached": True}, "topic: (detached) → events; refused without --force"),
        ({"topic": "projects/p/topics/orders"}, "topic: orders → events; refused without --force"),
        ({"filter": "attributes.a"}, "filter: attributes.a → none; refused without --force"),
    ],
)
def test_differences_on_google_cloud(different: dict[str, Any], expected: str) -> None:
    cloud = provisioned()
    for field, value in different.items():
        setattr(cloud.subscriptions[name("events-ingest")], field, value)

    [line] = lines(connected(cloud).plan())
    assert expected in line


def test_ingest_may_receive_another_topic() -> None:
    cloud = provisioned(DEPLOYED.with_topic("ingest", "orders"))

    assert cloud.subscriptions[name("events-ingest")].topic == "projects/p/topics/orders"
    assert cloud.subscriptions[name("aggregate-run")].topic == "projects/p/topics/aggregate-requests"


def test_an_emulator_compares_the_declared_address() -> None:
    """There, a subscription without an endpoint is pulled."""
    cloud = provisioned()
    settings = replace(Settings("p", "i"), pubsub_emulator="localhost:1", bigtable_emulator="localhost:2")
    pubsub = PubSub(settings, RESOURCES, cloud, cloud)

    assert f"push endpoint: {URLS['ingest']} → none" in " ".join(lines(pubsub.plan()))
    assert pubsub.notes == []


def test_topics_and_subscriptions_without_the_label_are_refused() -> None:
    cloud = provisioned()
    del cloud.topics["projects/p/topics/events"].labels["sluice"]
    keeping = cloud.subscriptions[name("events-dead-letter-keep")]
    keeping.labels = {"team": "music"}
    keeping.ack_deadline_seconds = 10

    changes = connected(cloud).plan()

    refusal = "found no mark, expected sluice=sluice; refused without --adopt: it may belong to other software"
    assert lines(changes) == [f"! topic events: {refusal}", f"! subscription events-dead-letter-keep: {refusal}"]


def test_adopted_topics_and_subscriptions_get_the_label_and_keep_others() -> None:
    cloud = provisioned()
    cloud.topics["projects/p/topics/events"].labels = {"team": "music"}
    cloud.subscriptions[name("events-dead-letter-keep")].labels = {"team": "music"}
    pubsub = connected(cloud)

    for change in pubsub.plan(adopt=True):
        pubsub.apply(change)

    labels = {"team": "music", "sluice": "sluice"}
    assert cloud.topics["projects/p/topics/events"].labels == labels
    assert cloud.subscriptions[name("events-dead-letter-keep")].labels == labels
    assert [list(each.update_mask.paths) for each in cloud.updates] == [["labels"]]
    assert connected(cloud).plan() == []


def test_an_adopted_subscription_is_changed_after_it_has_the_label() -> None:
    cloud = provisioned()
    waiting = cloud.subscriptions[name("events-dead-letter-keep")]
    waiting.labels, waiting.ack_deadline_seconds = {}, 10

    assert [change.line(adopt=True) for change in connected(cloud).plan(adopt=True)] == [
        "~ subscription events-dead-letter-keep: found no mark, expected sluice=sluice",
        "~ subscription events-dead-letter-keep: ack deadline: 10 s → 600 s",
    ]


def test_a_topic_of_another_pipeline_is_refused_even_with_adopt() -> None:
    cloud = provisioned()
    cloud.topics["projects/p/topics/events"].labels = {"sluice": "shop"}

    [change] = connected(cloud).plan(adopt=True)

    assert change.line(adopt=True) == (
        "! topic events: found the mark sluice=shop, expected sluice=sluice; refused: it belongs to another pipeline"
    )
