"""One dimension of a day's rollup, as a contract describes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.contract_field import Field
from shared.contract_file import AggregateTable, Problem, check_value, read_table
from shared.keys import MAX_DIMENSION, encode
from shared.measures import Measure

RESERVED_DIMENSION = "quality"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One dimension of a day's rollup.

    Attributes:
        by: the field whose values it is computed for; the whole day as one value named "all" when None.
        where: for each field named, the values of which an event has to have one to count.
    """

    dimension: str
    by: str | None
    where: tuple[tuple[str, tuple[Any, ...]], ...]
    measures: tuple[Measure, ...]


def make_aggregate(dimension: str, table: Any, fields: Mapping[str, Field]) -> Aggregate:
    """Return what a table `[aggregates.<dimension>]` says of the fields; Problem if it doesn't hold together."""
    where = f"aggregates.{dimension}"
    if dimension == RESERVED_DIMENSION or dimension.startswith("_") or not 0 < len(encode(dimension)) <= MAX_DIMENSION:
        raise Problem(
            "aggregates",
            dimension,
            f"a name other than {RESERVED_DIMENSION!r} that is short and doesn't begin with '_'",
        )
    if not isinstance(table, dict):
        raise Problem(where, table, "a table")
    head = read_table(AggregateTable, {key: table[key] for key in ("by", "where") if key in table}, where)
    if head.by is not None and fields.get(head.by, None) is None:
        raise Problem(f"{where}.by", head.by, f"one of the fields: {', '.join(fields)}")
    if head.by is not None and fields[head.by].type in ("object", "array", "number", "timestamp"):
        raise Problem(f"{where}.by", head.by, "a field of type string, integer or boolean")
    conditions = []
    for name, value in head.where.items():
        if name not in fields:
            raise Problem(f"{where}.where", name, f"one of the fields: {', '.join(fields)}")
        values = tuple(value) if isinstance(value, list) else (value,)
        if not values:
            raise Problem(f"{where}.where.{name}", value, "at least one value")
        for each in values:
            check_value(fields[name].type, fields[name].one_of, each, f"{where}.where.{name}")
        conditions.append((name, values))
    measures = tuple(_measure(key, text, fields, where) for key, text in table.items() if key not in ("by", "where"))
    if not measures:
        raise Problem(where, table, 'at least one measure, such as total_events = "count"')
    for measure in measures:
        if measure.function == "unique" and measure.error_name in table:
            expected = f"another name: where {measure.name} is an estimate, this says how far it may be off"
            raise Problem(f"{where}.{measure.error_name}", table[measure.error_name], expected)
    return Aggregate(dimension, head.by, tuple(conditions), measures)


def _measure(name: str, text: Any, fields: Mapping[str, Field], where: str) -> Measure:
    if name.startswith("_") or not name:
        raise Problem(where, name, "a measure's name that isn't empty and doesn't begin with '_'")
    measure = Measure.parse(name, text) if isinstance(text, str) else None
    if measure is None:
        raise Problem(f"{where}.{name}", text, '"count", or unique, sum, min, max or mean of a field: "sum(duration)"')
    if measure.field is None:
        return measure
    if measure.field not in fields:
        raise Problem(f"{where}.{name}", text, f"one of the fields in the brackets: {', '.join(fields)}")
    types = ("string", "integer", "number", "boolean") if measure.function == "unique" else ("integer", "number")
    if fields[measure.field].type not in types:
        raise Problem(f"{where}.{name}", text, f"a field of type {' or '.join(types)}")
    return measure
