"""The measures of a contract, computed by SQL over exported events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Any

from infra.export.sql.session import Session
from infra.export.sql.views import literal, quoted
from shared.contracts.model import Contract, Measure

# A power of two: scaling by it is exact.
_SCALE = 2**64

Cell = tuple[str, date, str, str]


def measures_by_sql(session: Session, contract: Contract) -> Iterator[tuple[Cell, Any]]:
    """Yield every measure of the contract by (dimension, day, value, measure), computed by SQL over `events`."""
    for aggregate in contract.aggregates:
        by = "'all'" if aggregate.by is None else f"cast({quoted(aggregate.by)} as varchar)"
        terms = [f"{quoted(name)} in ({', '.join(map(_literal, values))})" for name, values in aggregate.where]
        terms += [] if aggregate.by is None else [f"{quoted(aggregate.by)} is not null"]
        columns = [column for measure in aggregate.measures for column in _columns(measure)]
        query = (
            f"select day, {by}, {', '.join(columns)} from events where {' and '.join(terms) or 'true'} group by 1, 2"
        )
        for day, value, *results in session.result(query).rows:
            parts = iter(results)
            for measure in aggregate.measures:
                yield (
                    (aggregate.dimension, day, value, measure.name),
                    _result(measure, [next(parts) for _ in _columns(measure)]),
                )


def _columns(measure: Measure) -> list[str]:
    """Return the columns of SQL that a measure takes.

    The measures `sum` and `mean` are exact: every event's number counts with all its bits, and the total is rounded
    once. SQL's sum of floats rounds after each addition. So the numbers are scaled to integers, which is exact for a
    power of two, and summed as 128-bit integers; the last column tells whether all were integers then.
    """
    if measure.field is None:
        return ["count(*)"]
    field = quoted(measure.field)
    scaled = f"{field}::double * {_SCALE}::double"
    return {
        "unique": [f"count(distinct {field})"],
        "min": [f"min({field})"],
        "max": [f"max({field})"],
    }.get(measure.function) or [
        f"count({field})",
        f"coalesce(sum(({scaled})::hugeint), 0)",
        f"coalesce(bool_and(trunc({scaled}) = {scaled}), true)",
    ]


def _result(measure: Measure, values: list[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    count, scaled_total, is_exact = values
    assert is_exact
    total = Fraction(int(scaled_total), _SCALE)
    if measure.function == "sum":
        return float(total)
    return float(total / count) if count else None


def _literal(value: Any) -> str:
    return literal(value) if isinstance(value, str) else str(value)
