"""The page *Explore*: the top values of a dimension on a day, and the measures of one value over days.

Both are compared with the day before and the week before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from infra.batch.report import partial_text
from infra.console import query
from infra.console.charts import bar_chart
from infra.console.comparison import change_text, value_text
from infra.console.rendering import page
from infra.console.tables import Tables, tables_of
from infra.console.text import as_float
from shared.contracts.model import Aggregate, Contract
from shared.tables.aggregates import Measures
from shared.timestamps import EPOCH, days_between

_VALUES = 20
_DAY_BEFORE, _WEEK_BEFORE = timedelta(days=1), timedelta(days=7)


class Row(NamedTuple):
    """One row of a table: its heading, the address that the heading links to, and the texts of its measures."""

    title: str
    address: str
    texts: list[str]


async def show(request: Request) -> Response:
    """Show the top values by `by`, a dimension and a measure, on the day `day`; of `value` the measures over days."""
    tables = tables_of(request)
    choices = _choices(tables.contract)
    by = query.choice(request, "by", list(choices), next(iter(choices), ""))
    if not by:
        return page(request, "explore.html", choices=[])
    aggregate, measure = choices[by]
    today = datetime.now(UTC).date()
    default = today
    if not request.query_params.get("day"):
        default = query.newest_day(await tables.state.runs(EPOCH.date(), today), today)
    day = query.day(request, "day", default)
    run = (await tables.state.runs(day, day)).get(day)  # first, so that the measures are at least as new
    until = run.partial_until(day) if run else None
    value = request.query_params.get("value")
    names = [each.name for each in aggregate.measures]
    top, found = await asyncio.gather(
        tables.aggregates.top(aggregate.dimension, measure, day, _VALUES),
        _over_days(tables, aggregate.dimension, value, day),
    )
    compared = [each for each in (day - _DAY_BEFORE, day - _WEEK_BEFORE) if each >= EPOCH.date()]
    earlier = await _on_days(tables, aggregate.dimension, [each for each, _ in top], compared)
    return page(
        request,
        "explore.html",
        choices=list(choices),
        by=by,
        dimension=aggregate.dimension,
        measure=measure,
        day=day,
        partial=partial_text(day, until) if until else "",
        names=names,
        change_columns=[day, *(f"change since {each}" for each in compared)],
        top_columns=[*names, *(f"{measure}, change since {each}" for each in compared)],
        top=[
            Row(
                each,
                _address(by, day, each),
                _texts(names, measures) + [change_text(measure, measures, other.get(each, {})) for other in earlier],
            )
            for each, measures in top
        ],
        value=value,
        changes=[_change_row(name, found.get(day, {}), [found.get(each, {}) for each in compared]) for name in names],
        days=[Row(str(each), "", _texts(names, measures)) for each, measures in found.items()],
        chart=bar_chart([as_float(measures.get(measure)) for measures in found.values()]),
        has_measures=any(found.values()),
        timeline=_timeline(tables.contract, aggregate, value, day),
    )


def _choices(contract: Contract) -> dict[str, tuple[Aggregate, str]]:
    """Return the aggregate and the name of each measure of a contract, by the text to choose it."""
    return {
        f"{aggregate.dimension} by {measure.name}": (aggregate, measure.name)
        for aggregate in contract.aggregates
        for measure in aggregate.measures
    }


async def _over_days(tables: Tables, dimension: str, value: str | None, last: date) -> dict[date, Measures]:
    """Return the measures of a value on each day of the page, empty without any; nothing without a value."""
    if value is None:
        return {}
    first = max(last - timedelta(days=query.DAYS - 1), EPOCH.date())
    found = await tables.aggregates.of_days(dimension, value, first, last)
    return {day: found.get(day, {}) for day in days_between(first, last)}


async def _on_days(
    tables: Tables, dimension: str, values: Sequence[str], days: Sequence[date]
) -> list[dict[str, Measures]]:
    """Return, for each day, the measures of the values that it has."""
    return await asyncio.gather(*(tables.aggregates.of_values(dimension, values, day) for day in days))


def _change_row(name: str, measures: Measures, earlier: Sequence[Measures]) -> Row:
    return Row(name, "", [value_text(name, measures), *(change_text(name, measures, other) for other in earlier)])


def _address(by: str, day: date, value: str) -> str:
    return "/explore?" + urlencode({"by": by, "day": day, "value": value}, errors="replace")


def _texts(names: list[str], measures: Measures) -> list[str]:
    return [value_text(name, measures) for name in names]


def _timeline(contract: Contract, aggregate: Aggregate, value: str | None, day: date) -> str:
    """Return the address of the events of the value where it is a user."""
    if value is None or aggregate.by != contract.user:
        return ""
    return "/user?" + urlencode({"user": value, "until": day}, errors="replace")
