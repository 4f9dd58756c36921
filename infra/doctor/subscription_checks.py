"""The checks of one Pub/Sub subscription, such as the one of an Eventarc trigger. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec
from google.pubsub_v1.types import Subscription

from infra.deploy.gcloud import Command
from infra.doctor.subscription_commands import Commands

Severity = Literal["error", "warning", "note", "ok"]

DELETED_TOPIC = "_deleted-topic_"
_MAX_ACK_DEADLINE = 600  # seconds, the maximum
_DEFAULT_EXPIRATION = timedelta(days=31)
_RETENTION, _DEAD_LETTER_RETENTION = timedelta(days=7), timedelta(days=31)
_MIN_BACKOFF = timedelta(seconds=10)
# Attempts below which an outage of an hour dead-letters messages, at a backoff of 10 to 600 s.
_MIN_ATTEMPTS, _MAX_ATTEMPTS = 12, 100


class SubscriptionCheck(msgspec.Struct, frozen=True):
    """The result of one check.

    Attributes:
        subscription: its full name.
        check: name of the check.
        severity: error for what loses or blocks messages, warning for what does so under conditions.
        found: what was found, and its effect.
        recommended: what is recommended instead; "" for nothing.
        commands: that fix it, in order. Words in capitals are for you to fill in.
    """

    subscription: str
    check: str
    severity: Severity
    found: str
    recommended: str = ""
    commands: tuple[str, ...] = ()

    @property
    def is_problem(self) -> bool:
        """Whether it is an error or a warning."""
        return self.severity in ("error", "warning")


@dataclass(frozen=True, slots=True)
class DeadLetterTopic:
    """The topic of the dead letters of a subscription: whether it exists, and the subscriptions that keep them."""

    exists: bool
    subscriptions: tuple[Subscription, ...] = ()


@dataclass(frozen=True, slots=True)
class _Result:
    check: str
    severity: Severity
    found: str
    recommended: str = ""
    commands: tuple[Command, ...] = ()


def check_subscription(
    subscription: Subscription, dead_letters: DeadLetterTopic | None, *, handler_seconds: float, emulated: bool
) -> list[SubscriptionCheck]:
    """Return the results of all checks.

    Args:
        subscription: as Pub/Sub returns it.
        dead_letters: the topic of its dead-letter policy, None without one.
        handler_seconds: longest time until the function that receives the messages responds.
        emulated: whether it is one of an emulator, which has no expiration and serves addresses without TLS.
    """
    commands = Commands(subscription)
    results = [
        *_topic(subscription, commands),
        *_ack_deadline(subscription, commands, handler_seconds),
        *_retention(subscription, commands),
        *([] if emulated else _expiration(subscription, commands)),
        *_retries(subscription, commands),
        *_dead_letters(subscription, dead_letters, commands, emulated=emulated),
        *_push(subscription, commands, emulated=emulated),
        *_other(subscription, commands),
    ]
    return [
        SubscriptionCheck(
            subscription=subscription.name,
            check=each.check,
            severity=each.severity,
            found=each.found,
            recommended=each.recommended,
            commands=tuple(map(shlex.join, each.commands)),
        )
        for each in results
    ]


def _topic(subscription: Subscription, commands: Commands) -> Iterator[_Result]:
    recreate = "delete the subscription and create it again; messages that wait in it are lost"
    if subscription.topic == DELETED_TOPIC:
        yield _Result(
            "topic", "error", "the topic is deleted, so no message arrives", recreate, commands.recreate("TOPIC")
        )
    elif subscription.detached:
        found = "the subscription is detached from its topic, so no message arrives"
        yield _Result("topic", "error", found, recreate, commands.recreate(subscription.topic))
    else:
        yield _Result("topic", "ok", subscription.topic)


def _ack_deadline(subscription: Subscription, commands: Commands, handler_seconds: float) -> Iterator[_Result]:
    seconds = subscription.ack_deadline_seconds
    found = f"{seconds} s"
    fix = (commands.update(ack_deadline=_MAX_ACK_DEADLINE),)
    if not subscription.push_config.push_endpoint:
        yield _Result("ack deadline", "ok", f"{found}; a client that pulls extends it")
    elif seconds <= handler_seconds:
        found = (
            f"{found}, while the function may take {handler_seconds:g} s: a slow message is delivered again meanwhile"
        )
        yield _Result("ack deadline", "error", found, f"{_MAX_ACK_DEADLINE} s", fix)
    else:
        yield _Result("ack deadline", "ok", found)


def _retention(subscription: Subscription, commands: Commands) -> Iterator[_Result]:
    age = subscription.message_retention_duration or _RETENTION
    if age < _RETENTION:
        found = f"{_text(age)}: messages of a longer outage are lost"
        fix = (commands.update(message_retention_duration=_text(_RETENTION)),)
        yield _Result("retention", "warning", found, _text(_RETENTION), fix)
    else:
        yield _Result("retention", "ok", _text(age))
    if subscription.retain_acked_messages:
        found = f"acknowledged messages are kept for {_text(age)}, too, where an erasure doesn't reach them"
        fix = (commands.update(retain_acked_messages=False),)
        yield _Result("acknowledged messages", "note", found, "not to keep them", fix)


def _expiration(subscription: Subscription, commands: Commands) -> Iterator[_Result]:
    ttl = subscription.expiration_policy.ttl if "expiration_policy" in subscription else _DEFAULT_EXPIRATION
    if not ttl:
        yield _Result("expiration", "ok", "never")
        return
    found = f"deleted after {_text(ttl)} without activity, with the messages in it"
    yield _Result("expiration", "warning", found, "never", (commands.update(expiration_period="never"),))


def _retries(subscription: Subscription, commands: Commands) -> Iterator[_Result]:
    fix = (commands.update(min_retry_delay="10s", max_retry_delay="600s"),)
    if "retry_policy" not in subscription:
        found = "none: a failed message is delivered again at once, which adds to the load of an outage"
        yield _Result("retry policy", "warning", found, "10 s to 600 s", fix)
        return
    policy = subscription.retry_policy
    found = f"{_text(policy.minimum_backoff)} to {_text(policy.maximum_backoff)}"
    if policy.minimum_backoff < _MIN_BACKOFF:
        yield _Result("retry policy", "note", f"{found}: many attempts in a short outage", "10 s to 600 s", fix)
    else:
        yield _Result("retry policy", "ok", found)


def _dead_letters(
    subscription: Subscription, topic: DeadLetterTopic | None, commands: Commands, *, emulated: bool
) -> Iterator[_Result]:
    policy = subscription.dead_letter_policy
    if not policy.dead_letter_topic:
        found = "none: a message that always fails is delivered until the retention ends, and is lost then"
        yield _Result(
            "dead letters", "warning", found, "a topic with a subscription of its own", commands.add_dead_letters()
        )
        return
    attempts = policy.max_delivery_attempts
    if attempts < _MIN_ATTEMPTS:
        found = f"{attempts} attempts: a short outage dead-letters valid messages"
        fix = (commands.update(dead_letter_topic=policy.dead_letter_topic, max_delivery_attempts=_MAX_ATTEMPTS),)
        yield _Result("delivery attempts", "warning", found, str(_MAX_ATTEMPTS), fix)
    else:
        yield _Result("delivery attempts", "ok", str(attempts))
    if topic is None or not topic.exists:
        found = f"{policy.dead_letter_topic} doesn't exist, so messages that always fail are never moved"
        yield _Result("dead letters", "error", found, "an existing topic", commands.create_dead_letter_topic())
        return
    if not topic.subscriptions:
        found = f"{policy.dead_letter_topic} has no subscription, so dead letters are lost"
        yield _Result("dead letters", "error", found, "a subscription", (commands.keep_dead_letters(),))
        return
    yield _Result("dead letters", "ok", policy.dead_letter_topic)
    for each in topic.subscriptions:
        keeper, name = Commands(each), each.name.rsplit("/", 1)[-1]
        age = each.message_retention_duration or _RETENTION
        if age < _RETENTION:
            fix = (keeper.update(message_retention_duration=_text(_DEAD_LETTER_RETENTION)),)
            found = f"{name} keeps dead letters for {_text(age)}"
            yield _Result("dead-letter retention", "warning", found, _text(_DEAD_LETTER_RETENTION), fix)
        for result in () if emulated else _expiration(each, keeper):
            if result.severity != "ok":
                yield _Result(
                    "dead-letter expiration", "warning", f"{name} is {result.found}", "never", result.commands
                )


def _push(subscription: Subscription, commands: Commands, *, emulated: bool) -> Iterator[_Result]:
    endpoint = subscription.push_config.push_endpoint
    if not endpoint:
        yield _Result("delivery", "note", "no push endpoint: a client has to pull the messages")
        return
    if emulated:
        yield _Result("delivery", "ok", f"pushed to {endpoint}")
        return
    account = subscription.push_config.oidc_token.service_account_email
    if not endpoint.startswith("https://"):
        found = f"pushed to {endpoint} without TLS, which Pub/Sub refuses or sends in the clear"
        yield _Result("delivery", "error", found, "an endpoint with https", (commands.push("https://ENDPOINT"),))
    elif not account:
        found = f"pushed to {endpoint} without a token: the endpoint can't tell Pub/Sub from others"
        yield _Result("delivery", "error", found, "an OIDC token of a service account", (commands.push(endpoint),))
    else:
        yield _Result("delivery", "ok", f"pushed to {endpoint} with a token of {account}")


def _other(subscription: Subscription, commands: Commands) -> Iterator[_Result]:
    pushed = bool(subscription.push_config.push_endpoint)
    if subscription.filter:
        yield _Result("filter", "note", f"{subscription.filter}: messages that don't match are dropped")
    if subscription.enable_exactly_once_delivery and pushed:
        fix = (commands.update(enable_exactly_once_delivery=False),)
        found = "on, which has an effect on pulled messages only"
        yield _Result("exactly-once delivery", "warning", found, "off", fix)
    if subscription.enable_message_ordering and pushed:
        found = "on: a message that fails holds up all later ones of its ordering key"
        yield _Result("ordering", "note", found)


def _text(span: timedelta) -> str:
    """Return a duration as gcloud reads it."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600)):
        if seconds and not seconds % size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:g}s"
