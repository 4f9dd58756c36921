"""A contract in memory: its fields, rules, measures and aggregates. Pure values."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

Severity = Literal["reject", "warn"]


Type = Literal["string", "integer", "number", "boolean", "timestamp", "object", "array"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the canonical event: where its value comes from, how it is shaped, what it has to satisfy.

    Attributes:
        path: keys that lead to the value in an incoming record.
        unit, format: how a timestamp is written; RFC 3339 text when neither is given.
        pattern: in RE2's syntax, which the whole text has to match.
        minimum, maximum: of a number, both inclusive.
        max_future, max_age: of a timestamp, in microseconds from the time its message was published.
    """

    name: str
    path: tuple[str, ...]
    type: Type
    required: bool = False
    severity: Severity = "reject"
    default: Any = None
    trim: bool = False
    case: Literal["lower", "upper"] | None = None
    unit: Literal["s", "ms", "us"] | None = None
    format: str | None = None
    one_of: tuple[Any, ...] | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_future: int | None = None
    max_age: int | None = None


Function = Literal["count", "unique", "sum", "min", "max", "mean"]

_WRITTEN = re.compile(r"\s*(unique|sum|min|max|mean)\s*\(\s*([^()]+?)\s*\)\s*")


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure.

    Attributes:
        field: whose values are measured; None for `count`, which measures events.
    """

    name: str
    function: Function
    field: str | None

    @classmethod
    def parse(cls, name: str, text: str) -> Measure | None:
        """Read a measure; None if the text isn't one."""
        if text.strip() == "count":
            return cls(name, "count", None)
        match = _WRITTEN.fullmatch(text)
        return cls(name, cast(Function, match[1]), match[2]) if match else None

    @property
    def error_name(self) -> str:
        """The name of the figure that says how far this one may be off, where it is an estimate."""
        return f"{self.name}_error"


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


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that holds together: every name in it leads somewhere, every bound fits its type.

    Attributes:
        max_rejected: the share of a day's events that may be rejected before the day carries a warning.
    """

    path: str
    name: str
    id: tuple[str, ...]
    user: str
    time: str
    bucket: Literal["day", "hour"]
    fields: tuple[Field, ...]
    unknown_fields: Literal["keep", "drop", "reject"]
    max_rejected: float | None
    aggregates: tuple[Aggregate, ...]

    def field(self, name: str) -> Field:
        """Return the field of that name; KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def of_canonical_events(self) -> Contract:
        """Return the contract by which an event is read that already goes by this contract's own names and forms."""
        fields = (replace(field, path=(field.name,), unit=None, format=None) for field in self.fields)
        return replace(self, fields=tuple(fields))

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the places of events in the tables, as plain JSON values.

        Two contracts of equal fingerprints put every event in the same cell.
        """
        placing = {*self.id, self.user, self.time}
        shaping = ("path", "type", "default", "trim", "case", "unit", "format")
        fields = {
            field.name: {key: value for key in shaping if (value := getattr(field, key))}
            for field in self.fields
            if field.name in placing
        }
        return {"id": self.id, "user": self.user, "time": self.time, "bucket": self.bucket, "fields": fields}
