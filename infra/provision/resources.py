"""Everything that the pipeline stands on, in one place: topics, subscriptions, tables, the job, and who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.row_keys import split_keys


@dataclass(frozen=True, slots=True)
class Subscription:
    """A Pub/Sub subscription.

    Attributes:
        function: whose trigger it is. On Google Cloud, Eventarc makes the subscription of a function, under a name of
            its own; ours is for the local relay. What is said here of retries, time and dead letters holds for both.
        retention: how long an unacknowledged message is kept.
        expires_after: how long a subscription is kept that nobody uses, None for ever. Pub/Sub's own default is 31
            days, which would end a pipeline that rests for a month.
        dead_letter: the topic that takes what couldn't be delivered in `attempts`.
        filter: which messages it takes; all by default.
        ordered: whether messages with an ordering key come in order. Ours needn't: places don't depend on it.
        exactly_once: a guarantee of pulls alone, which costs throughput and which functions can't have.
        push_endpoint: where Pub/Sub sends messages to by itself; nowhere by default.
    """

    name: str
    topic: str
    function: str | None = None
    ack_deadline: timedelta = timedelta(seconds=600)  # the longest there is; our own deadlines end well before it
    retention: timedelta = timedelta(days=7)  # the default; long enough for an outage over a weekend
    minimum_backoff: timedelta = timedelta(seconds=10)
    maximum_backoff: timedelta = timedelta(seconds=600)  # the longest there is
    expires_after: timedelta | None = None
    dead_letter: str | None = None
    # The most there is. Every 5xx of an outage counts as an attempt, so few would dead-letter a healthy stream.
    attempts: int = 100
    filter: str = ""
    ordered: bool = False
    exactly_once: bool = False
    push_endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A Bigtable table: its families with their garbage collection, and where it is split when it is made.

    Later the splits are Bigtable's business, which moves them with the load; nothing compares them.
    """

    name: str
    families: Mapping[str, GcRule]
    splits: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GcRule:
    """What may be deleted of a family: versions beyond `versions`, cells older than `age`; None keeps everything.

    `other` is a rule that somebody made by hand and that isn't one of these, in words.
    """

    versions: int | None = None
    age: timedelta | None = None
    other: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of Cloud Scheduler that publishes a message.

    Attributes:
        schedule: a cron line.
        retries: after a publication that failed; 0 means none, the default.
        retry_for: how long they may take together, 0 without end.
        minimum_backoff: before the first retry, doubled `doublings` times, then as it is, at most `maximum_backoff`.
        attributes: of the message.
    """

    name: str
    topic: str
    schedule: str
    data: bytes
    time_zone: str = "Etc/UTC"  # days are UTC everywhere here, and it knows no daylight saving
    # The most there is: a publication that failed for some seconds mustn't cost a day. Twice does no harm.
    retries: int = 5
    retry_for: timedelta = timedelta(0)
    # The service's own defaults, written down so that a change by hand is noticed.
    minimum_backoff: timedelta = timedelta(seconds=5)
    maximum_backoff: timedelta = timedelta(hours=1)
    doublings: int = 5
    description: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resources:
    """All of it."""

    topics: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]
    tables: tuple[Table, ...]
    jobs: tuple[Job, ...] = ()

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
        Subscription("events-ingest", topic="events", function="ingest", dead_letter="events-dead-letter"),
        # A topic without a subscription loses what is published to it. 31 days are the most there is.
        Subscription("events-dead-letter-keep", topic="events-dead-letter", retention=timedelta(days=31)),
        Subscription("aggregate-run", topic="aggregate-requests", function="aggregate"),
    ),
    tables=(
        # A cell's time is its event's, so collecting by age would delete a backfill of old events at once.
        Table("events", {"e": GcRule(versions=1), "f": GcRule(versions=1)}, split_keys()),
        Table("rejected", {"r": GcRule(age=timedelta(days=30))}, split_keys()),
        # Cells of several runs stand side by side until the one that counts is finished and sweeps the others away.
        Table("aggregates", {"a": GcRule()}),
        Table("state", {"s": GcRule(versions=1)}),
    ),
    jobs=(
        Job(
            "aggregate-daily",
            topic="aggregate-requests",
            # An hour after midnight: clocks of producers that are behind and messages that were delivered late are in
            # by then, and what still comes later marks its day.
            schedule="0 1 * * *",
            # No date in it asks for what is due: yesterday, late days, missed days. Pub/Sub takes no message that has
            # neither data nor attributes, so it is an object without keys.
            data=b"{}",
            description="Ask for the figures of yesterday, of late days and of days that were missed.",
        ),
    ),
)

# A person who tries something out doesn't wait ten seconds for a second delivery, as a cloud does.
LOCAL = RESOURCES.hurried(backoff=(timedelta(seconds=1), timedelta(seconds=60)), lease=timedelta(seconds=60))
