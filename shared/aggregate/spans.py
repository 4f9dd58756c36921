"""The measures of one value over several days, merged from the state that each day's run keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from shared.aggregate.accumulators import Accumulator
from shared.aggregate.rollup import ACCUMULATORS
from shared.contracts.model import RESERVED_DIMENSION, Aggregate
from shared.tables.aggregates import AggregatesTable, MergeableDay
from shared.timestamps import days_between

_QUALITY_FUNCTIONS = dict.fromkeys(("stored", "repeated_ids", "rejected"), "count")


class Span(msgspec.Struct, frozen=True):
    """The measures of one value from one day to another, both inclusive.

    Attributes:
        days: number of days that have the value.
        measures: JSON values by the measure's name, with the relative error of an estimate as `NAME_error`.
        unmerged: the reason for each measure of these days that can't be merged.
        not_computed: days without a run.
        partial: the days of these measures whose run began before their end, with the time up to which it counts.
    """

    first: date
    last: date
    days: int
    measures: dict[str, Any]
    unmerged: dict[str, str]
    not_computed: list[date]
    partial: dict[date, datetime]


def mergeable_functions(aggregates: Iterable[Aggregate]) -> dict[str, dict[str, str]]:
    """Return the function of each mergeable measure, by dimension and name."""
    functions: dict[str, dict[str, str]] = {
        aggregate.dimension: {measure.name: measure.function for measure in aggregate.measures}
        for aggregate in aggregates
        if aggregate.mergeable
    }
    return {**functions, RESERVED_DIMENSION: _QUALITY_FUNCTIONS}


async def span_of_value(table: AggregatesTable, dimension: str, value: str, first: date, last: date) -> Span:
    """Return the measures of one value over the days from `first` to `last`."""
    runs, found = await table.mergeable_days(dimension, value, first, last)
    measures, unmerged = merge(found)
    not_computed = [day for day in days_between(first, last) if day not in runs]
    partial = {day: until for day, run in sorted(runs.items()) if (until := run.partial_until(day))}
    return Span(first, last, len(found), measures, unmerged, not_computed, partial)


def merge(days: Sequence[MergeableDay]) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge the measures of days.

    Returns:
        The measures, and the reason for each measure that can't be merged.
    """
    measures: dict[str, Any] = {}
    unmerged: dict[str, str] = {}
    for name in dict.fromkeys(name for day in days for name in day.functions if name in day.measures):
        try:
            accumulator = _merge_measure(name, [day for day in days if name in day.measures])
        except ValueError as error:
            unmerged[name] = str(error)
            continue
        measures[name] = accumulator.result()
        if accumulator.error is not None:
            measures[f"{name}_error"] = accumulator.error
    errors = {f"{name}_error" for name in (*measures, *unmerged)}
    for day in days:
        for name in day.measures.keys() - measures.keys() - unmerged.keys() - errors:
            unmerged[name] = f"{day.day}: found no mergeable state, expected a run that keeps it; compute the day again"
    return measures, unmerged


def _merge_measure(name: str, days: Sequence[MergeableDay]) -> Accumulator:
    """Return the accumulator of a measure over all days; ValueError names the day that can't be merged."""
    functions = {day.day: day.functions.get(name) for day in days}
    merged: Accumulator | None = None
    for day in days:
        function = functions[day.day]
        if function not in ACCUMULATORS or function != functions[days[0].day]:
            expected = functions[days[0].day] or "a mergeable measure"
            raise ValueError(f"{day.day}: found {function or 'no mergeable state'}, expected {expected}")
        try:
            accumulator = ACCUMULATORS[function].restore(day.measures[name], day.states.get(name))
        except ValueError as error:
            raise ValueError(f"{day.day}: {error}") from None
        if merged is None:
            merged = accumulator
        else:
            merged.merge(accumulator)
    if merged is None:
        raise ValueError("found no day with it")
    return merged
