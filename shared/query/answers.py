"""The bodies of the read API's responses. Pure."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.tables.rejected import RejectedEvent
from shared.tables.state import Engine, Run
from shared.timestamps import EPOCH
from shared.validation.results import Finding

Next = Annotated[str | None, Meta(description="The cursor of the next page; null after the last one.")]
Measures = Annotated[dict[str, Any], Meta(description="JSON values by the measure's name.")]
PartialUntil = Annotated[
    datetime | None,
    Meta(description="The time up to which an unfinished day is certainly counted; null for a whole day."),
]
Event = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object", "description": "An event of the contract."})]


class Events(msgspec.Struct, frozen=True):
    """A page of a user's events, newest first."""

    events: list[Event]
    next: Next


class DayMeasures(msgspec.Struct, frozen=True):
    """The measures of one value on one day."""

    day: date
    measures: Measures
    partial_until: PartialUntil


class ValueOverDays(msgspec.Struct, frozen=True):
    """The measures of one value, for each day that has any."""

    days: list[DayMeasures]


class MergedMeasures(msgspec.Struct, frozen=True):
    """The measures of one value over a range of days as a whole.

    Attributes:
        days: number of days that have the value.
        measures: with the relative error of an estimate as `NAME_error`.
        unmerged: the reason for each measure that can't be merged.
        not_computed: days of the range without a run.
        partial: the unfinished days of the range, with the time up to which their events are certainly counted.
    """

    days: int
    measures: Measures
    unmerged: dict[str, str]
    not_computed: list[date]
    partial: dict[date, datetime]


class RankedValue(msgspec.Struct, frozen=True):
    """A value of a dimension with all its measures."""

    value: str
    measures: Measures


class Top(msgspec.Struct, frozen=True):
    """The values that rank highest, highest first."""

    values: list[RankedValue]
    partial_until: PartialUntil


class DayQuality(msgspec.Struct, frozen=True):
    """The quality of one day: counts of its events, and of those with findings by rule."""

    day: date
    measures: Measures
    warned: dict[str, int]
    rejected: dict[str, int]
    partial_until: PartialUntil


class Quality(msgspec.Struct, frozen=True):
    """The quality of each day that has a run."""

    days: list[DayQuality]


class RejectedItem(msgspec.Struct, frozen=True):
    """A rejected event with all its findings.

    Attributes:
        raw: the received bytes, as base64.
        source: id of its Pub/Sub message, or its file and line.
        published: when its message was first published, RFC 3339.
        rules: names of the broken rules.
    """

    raw: bytes
    findings: list[Finding]
    source: str
    published: str
    rules: list[str]

    @classmethod
    def of(cls, event: RejectedEvent) -> RejectedItem:
        """Return the item of an event."""
        return cls(event.raw, event.findings, event.source, event.published, event.rules)


class RejectedPage(msgspec.Struct, frozen=True):
    """A page of rejected events; it may have fewer than `limit`, or none, before the last page."""

    events: list[RejectedItem]
    next: Next


class DayRun(msgspec.Struct, frozen=True):
    """The finished run that readers of a day see.

    Attributes:
        started: when it started.
        complete: whether it has certainly counted all events that were stored before the end of its day.
        horizon: the time up to which it has certainly counted all stored events.
        events: number of events it counted.
        repeated: number of further cells with the id of one of those events.
        dimensions: names of the dimensions it computed.
        engine: what computed it.
    """

    started: datetime
    complete: bool
    horizon: datetime
    events: int
    repeated: int
    dimensions: list[str]
    engine: Engine

    @classmethod
    def of(cls, run: Run, day: date) -> DayRun:
        """Return the run of a day."""
        started = datetime.fromtimestamp(run.micros // 1_000 / 1_000, EPOCH.tzinfo)
        return cls(
            started=started,
            complete=run.saw_all_of(day),
            horizon=run.horizon,
            events=run.events,
            repeated=run.repeated,
            dimensions=run.dimensions,
            engine=run.engine,
        )


class DayState(msgspec.Struct, frozen=True):
    """The state of one day; a day that is marked late is computed again by the next scheduled run."""

    day: date
    run: DayRun | None
    late: bool


class Days(msgspec.Struct, frozen=True):
    """The state of every day of the range, and all marked days of the table."""

    days: list[DayState]
    late_days: list[date]


def readable(text: str) -> str:
    """Return the text without lone surrogates, which JSON can't contain."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def measures(found: dict[str, Any]) -> dict[str, Any]:
    """Return measures with names that JSON can contain."""
    return {readable(name): value for name, value in found.items()}
