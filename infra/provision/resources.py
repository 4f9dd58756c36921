"""Declaration of all resources of the pipeline: topics, subscriptions, tables and the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from infra.provision import marks
from infra.provision.resource_types import GcRule, Job, Subscription, Table
from shared.aggregate.day_requests import REQUEST_FOR_TODAY
from shared.aggregate.day_requests import TOPIC as REQUESTS
from shared.names import resource_name
from shared.pubsub.load_requests import TOPIC as LOADS
from shared.row_keys import split_keys


@dataclass(frozen=True, slots=True)
class Resources:
    """All declared resources."""

    topics: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]
    tables: tuple[Table, ...]
    jobs: tuple[Job, ...] = ()

    def named(self, name: str) -> Resources:
        """Return a copy with the names and marks of a pipeline; topics that aren't declared keep their names.

        Args:
            name: the name of the pipeline.
        """
        spell = partial(resource_name, name)
        subscriptions = (
            replace(
                each,
                name=spell(each.name),
                topic=spell(each.topic) if each.topic in self.topics else each.topic,
                function=spell(each.function) if each.function else "",
                dead_letter=spell(each.dead_letter) if each.dead_letter else None,
            )
            for each in self.subscriptions
        )
        tables = (replace(each, name=spell(each.name), mark=marks.family(name)) for each in self.tables)
        jobs = (
            replace(
                each,
                name=spell(each.name),
                topic=spell(each.topic),
                description=marks.marked_text(each.description, name),
            )
            for each in self.jobs
        )
        return Resources(tuple(map(spell, self.topics)), tuple(subscriptions), tuple(tables), tuple(jobs))

    def with_fast_redelivery(
        self, *, backoff: tuple[timedelta, timedelta], ack_deadline: timedelta, attempts: int | None = None
    ) -> Resources:
        """Return a copy whose subscriptions redeliver sooner, for interactive use and tests.

        Args:
            backoff: the minimum and maximum pause between two deliveries of a message.
            ack_deadline: the time after which Pub/Sub redelivers the messages of a stopped client.
            attempts: the number of deliveries before a message becomes a dead letter; unchanged by default.
        """
        subscriptions = tuple(
            replace(
                each,
                minimum_backoff=min(backoff[0], each.minimum_backoff),
                maximum_backoff=min(backoff[1], each.maximum_backoff),
                ack_deadline=ack_deadline,
                attempts=attempts or each.attempts,
            )
            for each in self.subscriptions
        )
        return replace(self, subscriptions=subscriptions)

    def with_topic(self, function: str, topic: str) -> Resources:
        """Return a copy in which a function receives the messages of another topic, which isn't declared here."""
        subscriptions = tuple(
            replace(each, topic=topic) if each.function == function else each for each in self.subscriptions
        )
        return replace(self, subscriptions=subscriptions)

    def with_intraday(self, every_minutes: int) -> Resources:
        """Return a copy with the job that requests the current day at an interval; unchanged for 0."""
        if not every_minutes:
            return self
        job = Job(
            INTRADAY,
            topic=REQUESTS,
            schedule=interval_schedule(every_minutes),
            data=REQUEST_FOR_TODAY,
            # Without retries: the next request replaces a lost one.
            retries=0,
            description=f"Request the aggregates of the current day every {every_minutes} minutes.",
        )
        return replace(self, jobs=(*self.jobs, job))

    def with_loads(self) -> Resources:
        """Return a copy with the topic to which Cloud Storage announces objects, for the function `load`."""
        dead_letters = f"{LOADS}-dead-letter"
        subscriptions = (
            Subscription(f"{LOADS}-run", topic=LOADS, function=LOAD, dead_letter=dead_letters),
            # Without a pause between deliveries, like the dead letters of events.
            Subscription(
                f"{dead_letters}-keep",
                topic=dead_letters,
                retention=timedelta(days=31),
                minimum_backoff=timedelta(0),
                maximum_backoff=timedelta(0),
            ),
        )
        return replace(
            self,
            topics=(*self.topics, LOADS, dead_letters),
            subscriptions=(*self.subscriptions, *subscriptions),
        )

    def with_push(self, urls: Mapping[str, str], account: str = "") -> Resources:
        """Return a copy whose subscriptions push to their functions.

        Args:
            urls: the address of each function; the subscription of any other function keeps its messages.
            account: the service account that authenticates; "" sends no token.
        """
        subscriptions = tuple(
            replace(each, push_endpoint=urls[each.function], push_account=account) if each.function in urls else each
            for each in self.subscriptions
        )
        return replace(self, subscriptions=subscriptions)

    def with_retention(self, ages: Mapping[str, timedelta | None]) -> Resources:
        """Return a copy whose tables keep data up to the given ages.

        Args:
            ages: the age by the name of a table; None keeps data without limit. Other tables stay as declared.
        """
        tables = tuple(table.with_age(ages[table.name]) if table.name in ages else table for table in self.tables)
        return replace(self, tables=tables)


# The function that loads the objects of a bucket, which isn't deployed by default.
LOAD = "load"

# The job of the intraday schedule, which isn't declared by default.
INTRADAY = "aggregate-intraday"

# Divisors of a day, so that the interval is the same across midnight: minutes of an hour, and whole hours.
INTERVALS = tuple(each for each in range(1, 1_440) if not 1_440 % each and (not 60 % each or not each % 60))


def interval_schedule(minutes: int) -> str:
    """Return the cron expression of one of the `INTERVALS`."""
    return f"*/{minutes} * * * *" if minutes < 60 else f"0 */{minutes // 60} * * *"


RESOURCES = Resources(
    topics=("events", "events-dead-letter", REQUESTS),
    subscriptions=(
        Subscription("events-ingest", topic="events", function="ingest", dead_letter="events-dead-letter"),
        # A topic without a subscription drops its messages. 31 days are the maximum. A dry run of a replay nacks what
        # it pulls, and the replay has to find it at once: no pause between deliveries.
        Subscription(
            "events-dead-letter-keep",
            topic="events-dead-letter",
            retention=timedelta(days=31),
            minimum_backoff=timedelta(0),
            maximum_backoff=timedelta(0),
        ),
        Subscription("aggregate-run", topic=REQUESTS, function="aggregate"),
    ),
    tables=(
        # The cell time is the event time, so a GC rule by age would delete a backfill of old events at once.
        Table("events", {"e": GcRule(versions=1), "f": GcRule(versions=1)}, split_keys(), any_age=True),
        Table("rejected", {"r": GcRule(age=timedelta(days=30))}, split_keys(), any_age=True),
        # Cells of several runs coexist until the valid run is complete and deletes the others.
        Table("aggregates", {"a": GcRule(), "m": GcRule()}, any_age=True),
        # The pipeline needs all of it, whatever its age.
        Table("state", {"s": GcRule(versions=1)}),
    ),
    jobs=(
        Job(
            "aggregate-daily",
            topic=REQUESTS,
            # One hour after midnight: events of slow producer clocks and late deliveries are stored by then.
            # Later events mark their day for the next run.
            schedule="0 1 * * *",
            # A request without dates selects all due days: yesterday, late days, missed days. Pub/Sub rejects a message
            # with neither data nor attributes, hence the empty JSON object.
            data=b"{}",
            description="Request the aggregates of yesterday, of late days and of missed days.",
        ),
    ),
)

# With the optional job, topics and subscriptions, for everything that has to know all names.
ALL_RESOURCES = RESOURCES.with_intraday(INTERVALS[0]).with_loads()

# The functions that messages are pushed to, all functions of every deployment, and all with the optional one.
PUSHED = tuple(each.function for each in RESOURCES.subscriptions if each.function)
FUNCTIONS = (*PUSHED, "query")
ALL_FUNCTIONS = (*FUNCTIONS, LOAD)

# The tables whose retention is the user's.
RETENTION_TABLES = tuple(table.name for table in RESOURCES.tables if table.any_age)


def _with_interactive_redelivery(resources: Resources) -> Resources:
    """Return a copy with redelivery after one second instead of ten, for interactive use."""
    backoff = (timedelta(seconds=1), timedelta(seconds=60))
    return resources.with_fast_redelivery(backoff=backoff, ack_deadline=timedelta(seconds=60))


# The resources of a local stack, without and with a bucket.
LOCAL = _with_interactive_redelivery(RESOURCES)
LOCAL_WITH_LOADS = _with_interactive_redelivery(RESOURCES.with_loads())
