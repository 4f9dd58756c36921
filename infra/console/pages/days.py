"""The page *Days*: events stored and rejected on each day, and the state of the day's run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infra.batch.report import partial_text
from infra.console import query
from infra.console.changes import change
from infra.console.changes.publishing import request_day
from infra.console.charts import bar_chart
from infra.console.rendering import page
from infra.console.tables import Tables, tables_of
from shared.aggregate.rollup import WHOLE_DAY
from shared.contracts.model import RESERVED_DIMENSION
from shared.tables.state import Run
from shared.timestamps import EPOCH, days_between


class Day(NamedTuple):
    """One row of the table.

    Attributes:
        computed: when the current run started; None without a run.
        states: what differs from a day that is computed and up to date.
    """

    day: date
    stored: int
    rejected: int
    share: float
    computed: datetime | None
    states: list[str]


async def show(request: Request) -> Response:
    """Show the days up to the parameter `last`; by default up to the newest day: see `query.newest_day`."""
    tables = tables_of(request)
    today = datetime.now(UTC).date()
    runs = await tables.state.runs(EPOCH.date(), today)
    last = query.day(request, "last", query.newest_day(runs, today))
    first = max(last - timedelta(days=query.DAYS - 1), EPOCH.date())
    requested = query.day(request, "requested", last) if request.query_params.get("requested") else None
    days = await _read(tables, first, last, runs, today)
    chart = bar_chart([day.stored for day in days], [day.rejected for day in days])
    return page(
        request,
        "days.html",
        days=days,
        chart=chart,
        last=last,
        earlier=max(first - timedelta(days=1), EPOCH.date()),
        later=last + timedelta(days=query.DAYS),
        any_run=bool(runs),
        today=today,
        requested=requested,
    )


@change
async def compute(request: Request) -> Response:
    """Request the computation of the form's `day`; return to the page that was shown."""
    async with request.form(max_files=0) as form:
        day = query.parse_day(str(form.get("day", "")), "day")
    today = datetime.now(UTC).date()
    if day > today:
        raise HTTPException(400, f"day: found {day}, expected one up to today, {today}")
    last = query.day(request, "last", day)
    await request_day(tables_of(request).settings, day)
    return RedirectResponse(f"/days?last={last}&requested={day}", 303)


async def _read(tables: Tables, first: date, last: date, runs: dict[date, Run], today: date) -> list[Day]:
    quality = await tables.aggregates.of_days(RESERVED_DIMENSION, WHOLE_DAY, first, last)
    unfinished = await tables.state.unfinished(first, last)
    late = set(await tables.state.late_days())
    first_run = min(runs, default=today)
    found = []
    for day in days_between(first, last):
        measures: dict[str, Any] = quality.get(day, {})
        run = runs.get(day)
        states = []
        if day in unfinished:
            states.append(f"computing since {unfinished[day]:%Y-%m-%d %H:%M:%S}")
        if run is None and first_run < day < today:
            states.append("missing")
        if run is not None and (until := run.partial_until(day)):
            states.append(partial_text(day, until))
        if day in late:
            states.append("late events, due again")
        if measures.get("too_many_rejected"):
            states.append("too many rejected")
        if measures.get("large_rows"):
            states.append(f"large rows: {measures['large_rows']}")
        computed = EPOCH + timedelta(microseconds=run.micros) if run else None
        stored, rejected, share = (measures.get(name, 0) for name in ("stored", "rejected", "share_rejected"))
        found.append(Day(day, stored, rejected, share, computed, states))
    return found
