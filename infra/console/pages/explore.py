"""The page *Explore*: the top values of a dimension on a day, and the measures of one value over days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from infra.batch.report import partial_text
from infra.console import query
from infra.console.charts import bar_chart
from infra.console.rendering import page
from infra.console.tables import Tables, tables_of
from infra.console.text import as_float, measure_text
from shared.contracts.model import Aggregate, Contract
from shared.tables.aggregates import Measures
from shared.timestamps import EPOCH, days_between

_VALUES = 20
_DAYS = 30


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
        default = max(await tables.state.runs(EPOCH.date(), today), default=today)
    day = query.day(request, "day", default)
    run = (await tables.state.runs(day, day)).get(day)  # first, so that the measures are at least as new
    until = run.partial_until(day) if run else None
    value = request.query_params.get("value")
    names = [each.name for each in aggregate.measures]
    top = await tables.aggregates.top(aggregate.dimension, measure, day, _VALUES)
    found = await _over_days(tables, aggregate.dimension, value, day) if value is not None else {}
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
        top=[_top_row(by, day, names, each, measures) for each, measures in top],
        value=value,
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


async def _over_days(tables: Tables, dimension: str, value: str, last: date) -> dict[date, Measures]:
    first = max(last - timedelta(days=_DAYS - 1), EPOCH.date())
    found = await tables.aggregates.of_days(dimension, value, first, last)
    return {day: found.get(day, {}) for day in days_between(first, last)}


def _top_row(by: str, day: date, names: list[str], value: str, measures: Measures) -> Row:
    address = "/explore?" + urlencode({"by": by, "day": day, "value": value}, errors="replace")
    return Row(value, address, _texts(names, measures))


def _texts(names: list[str], measures: Measures) -> list[str]:
    """Return the texts of the measures, each with its error where it is an estimate."""
    return [
        measure_text(measures.get(name))
        + (f" ± {measure_text(measures[f'{name}_error'])}" if f"{name}_error" in measures else "")
        for name in names
    ]


def _timeline(contract: Contract, aggregate: Aggregate, value: str | None, day: date) -> str:
    """Return the address of the events of the value where it is a user."""
    if value is None or aggregate.by != contract.user:
        return ""
    return "/user?" + urlencode({"user": value, "until": day}, errors="replace")
