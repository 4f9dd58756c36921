"""Each weakness of a subscription is found, with the command that fixes it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from google.pubsub_v1.types import DeadLetterPolicy, ExpirationPolicy, PushConfig, RetryPolicy, Subscription

from infra.doctor.subscription_checks import DeadLetterTopic, SubscriptionCheck, check_subscription

NAME = "projects/p/subscriptions/eventarc-us-trigger-1"
UPDATE = "gcloud pubsub subscriptions update eventarc-us-trigger-1"
ENDPOINT = "https://ingest-abc.run.app/?__GCP_CloudEventsMode=CUSTOM_PUBSUB_projects%2Fp%2Ftopics%2Fevents"
KEEPER = Subscription(
    name="projects/p/subscriptions/keep",
    message_retention_duration=timedelta(days=31),
    expiration_policy=ExpirationPolicy(),
)


def sound(**changes: Any) -> Subscription:
    """Return a subscription that pushes as recommended; a change of None removes a field."""
    fields: dict[str, Any] = {
        "name": NAME,
        "topic": "projects/p/topics/events",
        "ack_deadline_seconds": 600,
        "message_retention_duration": timedelta(days=7),
        "expiration_policy": ExpirationPolicy(),
        "retry_policy": RetryPolicy(minimum_backoff=timedelta(seconds=10), maximum_backoff=timedelta(seconds=600)),
        "dead_letter_policy": DeadLetterPolicy(dead_letter_topic="projects/p/topics/dead", max_delivery_attempts=100),
        "push_config": PushConfig(
            push_endpoint=ENDPOINT,
            oidc_token=PushConfig.OidcToken(service_account_email="push@p.iam.gserviceaccount.com"),
        ),
        **changes,
    }
    return Subscription(**{name: value for name, value in fields.items() if value is not None})


def checked(
    subscription: Subscription, dead: DeadLetterTopic | None = None, *, emulated: bool = False
) -> dict[str, SubscriptionCheck]:
    dead = dead or DeadLetterTopic(exists=True, subscriptions=(KEEPER,))
    results = check_subscription(subscription, dead, handler_seconds=60, emulated=emulated)
    return {each.check: each for each in results if each.severity != "ok"}


def test_a_sound_subscription_has_no_findings() -> None:
    assert checked(sound()) == {}


def test_the_subscription_of_an_eventarc_trigger_has_its_known_weaknesses() -> None:
    eventarc = sound(
        ack_deadline_seconds=10,
        message_retention_duration=timedelta(days=1),
        expiration_policy=None,
        dead_letter_policy=None,
    )

    found = checked(eventarc)

    assert {name: each.severity for name, each in found.items()} == {
        "ack deadline": "error",
        "retention": "warning",
        "expiration": "warning",
        "dead letters": "warning",
    }
    assert found["ack deadline"].commands == (f"{UPDATE} --ack-deadline=600 --project=p",)
    assert found["retention"].commands == (f"{UPDATE} --message-retention-duration=7d --project=p",)
    assert found["expiration"].found == "deleted after 31d without activity, with the messages in it"
    create, keep, use, *grants = found["dead letters"].commands
    topic = "projects/p/topics/eventarc-us-trigger-1-dead-letter"
    assert create == f"gcloud pubsub topics create {topic} --project=p"
    assert f"create eventarc-us-trigger-1-dead-letter-keep --topic={topic} --message-retention-duration=31d" in keep
    assert use == f"{UPDATE} --dead-letter-topic={topic} --max-delivery-attempts=100 --project=p"
    assert [re.findall(r"--role=(\S+)", grant) for grant in grants] == [
        ["roles/pubsub.publisher"],
        ["roles/pubsub.subscriber"],
    ]


@pytest.mark.parametrize(
    ("changes", "check", "severity", "text"),
    [
        ({"ack_deadline_seconds": 60}, "ack deadline", "error", "60 s, while the function may take 60 s"),
        ({"retry_policy": None}, "retry policy", "warning", "none: a failed message is delivered again at once"),
        (
            {"retry_policy": RetryPolicy(minimum_backoff=timedelta(seconds=1), maximum_backoff=timedelta(seconds=60))},
            "retry policy",
            "note",
            "1s to 60s: many attempts",
        ),
        ({"expiration_policy": ExpirationPolicy(ttl=timedelta(days=2))}, "expiration", "warning", "deleted after 2d"),
        ({"retain_acked_messages": True}, "acknowledged messages", "note", "kept for 7d, too"),
        ({"filter": 'attributes:"kind"'}, "filter", "note", "messages that don't match are dropped"),
        ({"enable_exactly_once_delivery": True}, "exactly-once delivery", "warning", "pulled messages only"),
        ({"enable_message_ordering": True}, "ordering", "note", "holds up all later ones"),
        ({"topic": "_deleted-topic_"}, "topic", "error", "the topic is deleted"),
        ({"detached": True}, "topic", "error", "detached from its topic"),
        ({"push_config": PushConfig(push_endpoint=ENDPOINT)}, "delivery", "error", "without a token"),
        ({"push_config": PushConfig(push_endpoint="http://x.org/")}, "delivery", "error", "without TLS"),
        ({"push_config": None}, "delivery", "note", "has to pull"),
        (
            {"dead_letter_policy": DeadLetterPolicy(dead_letter_topic="projects/p/topics/d", max_delivery_attempts=5)},
            "delivery attempts",
            "warning",
            "5 attempts: a short outage",
        ),
    ],
)
def test_a_weakness_is_found(changes: dict[str, Any], check: str, severity: str, text: str) -> None:
    (found,) = checked(sound(**changes)).values()

    assert (found.check, found.severity, found.subscription) == (check, severity, NAME)
    assert text in found.found
    assert found.is_problem == (severity != "note")
    assert bool(found.commands) == bool(found.recommended)


@pytest.mark.parametrize(
    ("dead", "check", "severity", "text"),
    [
        (DeadLetterTopic(exists=False), "dead letters", "error", "projects/p/topics/dead doesn't exist"),
        (DeadLetterTopic(exists=True), "dead letters", "error", "has no subscription, so dead letters are lost"),
        (
            DeadLetterTopic(
                exists=True, subscriptions=(Subscription(KEEPER, message_retention_duration=timedelta(days=1)),)
            ),
            "dead-letter retention",
            "warning",
            "keep keeps dead letters for 1d",
        ),
        (
            DeadLetterTopic(
                exists=True,
                subscriptions=(Subscription(name=KEEPER.name, message_retention_duration=timedelta(days=31)),),
            ),
            "dead-letter expiration",
            "warning",
            "keep is deleted after 31d without activity",
        ),
    ],
)
def test_dead_letters_that_are_lost_are_found(dead: DeadLetterTopic, check: str, severity: str, text: str) -> None:
    (found,) = checked(sound(), dead).values()

    assert (found.check, found.severity) == (check, severity)
    assert text in found.found
    assert found.commands


def test_a_pulled_subscription_may_have_any_ack_deadline() -> None:
    assert "ack deadline" not in checked(sound(push_config=None, ack_deadline_seconds=10))


def test_a_subscription_without_a_topic_is_created_again_with_what_it_had() -> None:
    delete, create = checked(sound(detached=True, filter='attributes:"kind"'))["topic"].commands

    assert delete == "gcloud pubsub subscriptions delete eventarc-us-trigger-1 --project=p"
    for flag in (
        "--topic=projects/p/topics/events",
        f"'--push-endpoint={ENDPOINT}'",
        "--push-auth-service-account=push@p.iam.gserviceaccount.com",
        "--dead-letter-topic=projects/p/topics/dead",
        "'--message-filter=attributes:\"kind\"'",
    ):
        assert flag in create


def test_an_emulator_has_no_expiration_and_no_tls() -> None:
    local = sound(expiration_policy=None, push_config=PushConfig(push_endpoint="http://127.0.0.1:8080/"))

    assert checked(local, emulated=True) == {}
