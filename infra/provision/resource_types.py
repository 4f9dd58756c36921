"""Types of the declared resources: subscriptions, tables with their GC rules, and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Subscription:
    """A Pub/Sub subscription.

    Attributes:
        function: the function that receives its messages; "" for none.
        retention: how long Pub/Sub keeps an unacknowledged message.
        minimum_backoff: the pause before the first redelivery; it grows to `maximum_backoff`. Both 0 redeliver at once.
        expires_after: how long Pub/Sub keeps an inactive subscription; None means without limit. The default of Pub/Sub
            is 31 days, which would delete the subscription of a pipeline that is idle for a month.
        dead_letter: the topic for messages that failed `attempts` deliveries.
        filter: the expression that selects messages; all by default.
        ordered: deliver messages with an ordering key in order. Not needed: cell keys don't depend on the order.
        exactly_once: exactly-once delivery. It works for pulls only, and it costs throughput.
        push_endpoint: the URL that Pub/Sub pushes messages to, the address of the function; "" keeps the messages.
        push_account: the address of the service account whose OIDC token authenticates a push; "" sends no token. The
            audience of the token is the endpoint.
    """

    name: str
    topic: str
    function: str = ""
    ack_deadline: timedelta = timedelta(seconds=600)  # the maximum, and the timeout of a push; our deadlines end before
    retention: timedelta = timedelta(days=7)  # the default; long enough for an outage over a weekend
    minimum_backoff: timedelta = timedelta(seconds=10)
    maximum_backoff: timedelta = timedelta(seconds=600)  # the maximum
    expires_after: timedelta | None = None
    dead_letter: str | None = None
    # The maximum. Every 5xx response counts as an attempt, so a low limit would dead-letter events during an outage.
    attempts: int = 100
    filter: str = ""
    ordered: bool = False
    exactly_once: bool = False
    push_endpoint: str = ""
    push_account: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A Bigtable table: its column families with their GC rules, and the split keys of its creation.

    Bigtable moves the splits with the load later, so they are never compared.

    Attributes:
        any_age: accept an existing GC rule that differs from the declared one only in its age.
        mark: the empty column family that marks the table as the pipeline's: see `infra.provision.marks`.
    """

    name: str
    families: Mapping[str, GcRule]
    splits: list[bytes] = field(default_factory=list)
    any_age: bool = False
    mark: str = ""

    @property
    def all_families(self) -> dict[str, GcRule]:
        """The column families to create, with the one of the mark, which never has cells."""
        return {**self.families, self.mark: GcRule(versions=1)} if self.mark else dict(self.families)

    def with_age(self, age: timedelta | None) -> Table:
        """Return a copy that keeps cells up to an age, or without limit for None, and accepts no other age."""
        families = {name: replace(rule, age=age) for name, rule in self.families.items()}
        return replace(self, families=families, any_age=False)


@dataclass(frozen=True, slots=True)
class GcRule:
    """A garbage collection rule: keep at most `versions` versions, and cells up to `age`; None sets no limit.

    `other` is the text of an existing rule of another form, such as an intersection.
    """

    versions: int | None = None
    age: timedelta | None = None
    other: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of Cloud Scheduler that publishes a message.

    Attributes:
        schedule: the cron expression.
        retries: the number of retries of a failed publication; 0 means none, the service's default.
        retry_for: how long retries may take in total; 0 means without limit.
        minimum_backoff: the pause before the first retry. It doubles `doublings` times, up to `maximum_backoff`.
        attributes: the attributes of the message.
    """

    name: str
    topic: str
    schedule: str
    data: bytes
    time_zone: str = "Etc/UTC"  # all days are UTC days, and UTC has no daylight saving time
    # The maximum. Losing the request to a short failure would cost a day, and publishing it twice does no harm.
    retries: int = 5
    retry_for: timedelta = timedelta(0)
    # The service's own defaults, declared so that a manual change is detected.
    minimum_backoff: timedelta = timedelta(seconds=5)
    maximum_backoff: timedelta = timedelta(hours=1)
    doublings: int = 5
    description: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
