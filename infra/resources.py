"""Every topic, subscription and table that the pipeline stands on, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.keys import split_keys


@dataclass(frozen=True, slots=True)
class Subscription:
    """A Pub/Sub subscription.

    Attributes:
        retention: how long an unacknowledged message is kept.
        expires: False keeps a subscription that nobody uses; Pub/Sub's default deletes it after 31 days.
        dead_letter: the topic that takes what couldn't be delivered in `attempts`.
    """

    name: str
    topic: str
    ack_deadline: timedelta = timedelta(seconds=600)  # the longest there is; our own deadlines end well before it
    retention: timedelta = timedelta(days=7)  # the default; long enough for an outage over a weekend
    minimum_backoff: timedelta = timedelta(seconds=10)
    maximum_backoff: timedelta = timedelta(seconds=600)  # the longest there is
    expires: bool = True
    dead_letter: str | None = None
    # The most there is. Every 5xx of an outage counts as an attempt, so few would dead-letter a healthy stream.
    attempts: int = 100


@dataclass(frozen=True, slots=True)
class Table:
    """A Bigtable table: its families with their garbage collection, and where it is split when it is made."""

    name: str
    families: dict[str, Collection]
    splits: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Collection:
    """What may be deleted of a family: versions beyond `versions`, cells older than `age`; None keeps everything."""

    versions: int | None = None
    age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """All of it."""

    topics: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]
    tables: tuple[Table, ...]

    def hurried(
        self, *, backoff: tuple[timedelta, timedelta], lease: timedelta, attempts: int | None = None
    ) -> Resources:
        """Return the same with subscriptions that try again sooner than a cloud does, for whoever sits and waits.

        Args:
            backoff: between attempts to deliver a message, at first and at most.
            lease: how long a message isn't delivered again that was handed to somebody who ended.
            attempts: before a message goes to the dead letters; as they are by default.
        """
        subscriptions = tuple(
            replace(
                each,
                minimum_backoff=backoff[0],
                maximum_backoff=backoff[1],
                ack_deadline=lease,
                attempts=attempts or each.attempts,
            )
            for each in self.subscriptions
        )
        return replace(self, subscriptions=subscriptions)


RESOURCES = Resources(
    topics=("events", "events-dead-letter", "aggregate-requests"),
    subscriptions=(
        Subscription("events-ingest", topic="events", dead_letter="events-dead-letter"),
        # A topic without a subscription loses what is published to it.
        Subscription(
            "events-dead-letter-keep", topic="events-dead-letter", retention=timedelta(days=31), expires=False
        ),
        Subscription("aggregate-run", topic="aggregate-requests"),
    ),
    tables=(
        # A cell's time is its event's, so collecting by age would delete a backfill of old events at once.
        Table("events", {"e": Collection(versions=1), "f": Collection(versions=1)}, split_keys()),
        Table("rejected", {"r": Collection(age=timedelta(days=30))}, split_keys()),
        # Cells of several runs stand side by side until the one that counts is finished and sweeps the others away.
        Table("aggregates", {"a": Collection()}),
        Table("state", {"s": Collection(versions=1)}),
    ),
)
