"""The page *Rejected*: the rejected events of a day by rule and field, each with an example and all its findings."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from infra.console import query
from infra.console.charts import bar_chart
from infra.console.rendering import page
from infra.console.tables import tables_of
from infra.console.text import shown
from shared.tables.rejected import RejectedEvent
from shared.validation.results import Finding, Rule

# A page reads no more than this. Row keys begin with a digest, so the first events of a day are a random sample of it.
_MAX_EVENTS, _MAX_BYTES = 2_000, 16 * 1024 * 1024
_MAX_GROUPS = 50


@dataclass(slots=True)
class Group:
    """The events that break one rule in one field, and the first of them as the example."""

    rule: str
    field: str
    count: int
    raw: str
    size: int
    source: str
    published: str
    row_key: str
    findings: list[Finding]


async def show(request: Request) -> Response:
    """Show the rejected events that were first published on the day `day`, only those that broke `rule` if given."""
    day = query.day(request, "day", datetime.now(UTC).date())
    rules = list(get_args(Rule))
    rule = query.choice(request, "rule", rules, "")
    events, is_complete = await read_sample(tables_of(request).rejected.of_day(day, rule=rule or None))
    groups = _group(events, rule)
    largest = sorted(groups.values(), key=lambda group: (-group.count, group.rule, group.field))
    return page(
        request,
        "rejected.html",
        day=day,
        rule=rule,
        rules=rules,
        groups=largest[:_MAX_GROUPS],
        chart=bar_chart([group.count for group in largest[:_MAX_GROUPS]]),
        left_out=len(largest) - len(largest[:_MAX_GROUPS]),
        count=len(events),
        is_complete=is_complete,
        earlier=day - timedelta(days=1),
        later=day + timedelta(days=1),
    )


async def read_sample(events: AsyncGenerator[RejectedEvent]) -> tuple[list[RejectedEvent], bool]:
    """Return the first events, as many as a page reads, and whether these are all."""
    sample: list[RejectedEvent] = []
    size = 0
    async with aclosing(events):
        async for event in events:
            if len(sample) == _MAX_EVENTS or size > _MAX_BYTES:
                return sample, False
            sample.append(event)
            size += len(event.raw)
    return sample, True


def _group(events: list[RejectedEvent], rule: str) -> dict[tuple[str, str], Group]:
    groups: dict[tuple[str, str], Group] = {}
    for event in events:
        for key in {(each.rule, each.field) for each in event.findings if each.severity == "reject"}:
            if rule in ("", key[0]):
                if key not in groups:
                    groups[key] = _new_group(key, event)
                groups[key].count += 1
    return groups


def _new_group(key: tuple[str, str], event: RejectedEvent) -> Group:
    return Group(
        *key,
        count=0,
        raw=shown(event.raw),
        size=len(event.raw),
        source=event.source,
        published=event.published,
        row_key=event.row_key.decode(),
        findings=event.findings,
    )
