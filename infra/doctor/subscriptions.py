"""Read subscriptions of any project with Google's client, and check them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from google.pubsub_v1.types import Subscription
from msgspec.structs import replace

from infra.deploy.gcloud import gcloud
from infra.doctor.subscription_checks import DeadLetterTopic, SubscriptionCheck, check_subscription
from infra.provision.google_api import PUBSUB, Caller
from infra.provision.pubsub import PubSub, open_pubsub
from infra.provision.resources import Resources
from shared.config import Settings
from shared.errors import SettingsError

# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_FULL_NAME = re.compile(r"projects/([^/]+)/subscriptions/([^/]+)")
_MAX_KEEPERS = 10  # subscriptions of a dead-letter topic that are looked at


def examine(settings: Settings, names: Iterable[str]) -> Iterator[SubscriptionCheck]:
    """Check subscriptions.

    Args:
        settings: for the emulator, the deadline of the functions, and the project of names without one.
        names: full names, projects/P/subscriptions/S, or names of the project.

    Raises:
        SettingsError: a name is invalid, or the caller lacks permission.
        StoreUnavailableError: Pub/Sub doesn't answer.
    """
    for name in names:
        match = _FULL_NAME.fullmatch(name)
        if match is None and "/" in name:
            raise SettingsError(f"--subscription: found {name!r}, expected projects/P/subscriptions/S, or a name alone")
        project, short = match.groups() if match else (settings.project_id, name)
        yield from _examine(replace(settings, project_id=project), f"projects/{project}/subscriptions/{short}")


def _examine(settings: Settings, name: str) -> list[SubscriptionCheck]:
    caller = Caller(settings, PUBSUB)
    with open_pubsub(settings, Resources((), (), ())) as pubsub:
        found = _subscription(caller, pubsub, name)
        if found is None:
            listing = " ".join(gcloud("pubsub", "subscriptions", "list", project=settings.project_id))
            text = "there is no such subscription"
            return [SubscriptionCheck(name, "subscription", "error", text, "the name of an existing one", (listing,))]
        topic = found.dead_letter_policy.dead_letter_topic
        return check_subscription(
            found,
            _dead_letter_topic(caller, pubsub, topic) if topic else None,
            handler_seconds=settings.store_deadline,
            emulated=settings.pubsub_emulator is not None,
        )


def _subscription(caller: Caller, pubsub: PubSub, name: str) -> Subscription | None:
    return caller.find(f"subscription {name}", partial(pubsub.subscriber.get_subscription, subscription=name))


def _dead_letter_topic(caller: Caller, pubsub: PubSub, topic: str) -> DeadLetterTopic:
    listing = caller.find(f"topic {topic}", partial(pubsub.publisher.list_topic_subscriptions, topic=topic))
    if listing is None:
        return DeadLetterTopic(exists=False)
    names = [name for name, _ in zip(listing, range(_MAX_KEEPERS), strict=False)]
    keepers = [_subscription(caller, pubsub, name) for name in names]
    return DeadLetterTopic(exists=True, subscriptions=tuple(each for each in keepers if each is not None))
