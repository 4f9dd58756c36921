"""Views of the aggregates: a table for each dimension, with a column for each measure."""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.model import Aggregate, Contract, Measure


def dimension_views(contract: Contract) -> dict[str, str]:
    """Return the query of each view by its name, such as `aggregates_song`; they read the table `aggregates`."""
    return {f"aggregates_{each.dimension}": _query(each, contract) for each in contract.aggregates}


def _query(aggregate: Aggregate, contract: Contract) -> str:
    measures = [each.name for each in aggregate.measures]
    day = quoted(_distinct("day", measures))
    columns = [f"aggregates.day as {day}"]
    if aggregate.by is not None:
        columns.append(f"value as {quoted(_distinct(aggregate.by, [*measures, 'day']))}")
    columns += [_column(each, contract) for each in aggregate.measures]
    where = f"dimension = {literal(aggregate.dimension)}"
    # Every name and text in it is quoted.
    return f"select {', '.join(columns)} from aggregates where {where} group by aggregates.day, aggregates.value"  # noqa: S608


def _column(measure: Measure, contract: Contract) -> str:
    integer = measure.function in ("count", "unique") or (
        measure.field is not None and measure.function != "mean" and contract.field(measure.field).type == "integer"
    )
    # The sum of 64-bit integers can exceed 64 bits.
    value = "number" if not integer else "try_cast(json as hugeint)" if measure.function == "sum" else "integer"
    return f"max({value}) filter (where measure = {literal(measure.name)}) as {quoted(measure.name)}"


def _distinct(name: str, others: Iterable[str]) -> str:
    """Return a column name that no other column has; SQL ignores the case."""
    taken = {other.lower() for other in others}
    return f"_{name}" if name.lower() in taken else name


def quoted(name: str) -> str:
    """Return an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
