"""One field of an event, as a contract describes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.contract_file import FieldTable, Problem
from shared.findings import Severity

Type = Literal["string", "integer", "number", "boolean", "timestamp", "object", "array"]

# JSON has to escape these, and the rollup's decoder takes only names that it finds as they are.
_UNREADABLE = re.compile(r'["\\\x00-\x1f]').search


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


def make_field(name: str, table: FieldTable) -> Field:
    """Return the field that a table `[fields.<name>]` describes; Problem if the table doesn't hold together."""
    if not name or name.startswith("_") or _UNREADABLE(name):
        raise Problem("fields", name, "a name that isn't empty, doesn't begin with '_', has no quotes or backslashes")
    path = tuple((table.from_ or name).split(".")) if table.from_ else (name,)
    if not all(path):
        raise Problem(f"fields.{name}.from", table.from_, "keys joined by single dots, such as actor.login")
    table.check(f"fields.{name}")
    return Field(
        name=name,
        path=path,
        type=table.type,
        required=table.required,
        severity=table.severity,
        default=table.default,
        trim=table.trim,
        case=table.case,
        unit=table.unit,
        format=table.format,
        one_of=None if table.one_of is None else tuple(table.one_of),
        pattern=table.pattern,
        min_length=table.min_length,
        max_length=table.max_length,
        minimum=table.min,
        maximum=table.max,
        max_future=table.duration("max_future", f"fields.{name}"),
        max_age=table.duration("max_age", f"fields.{name}"),
    )


def check_paths(fields: Mapping[str, Field]) -> None:
    """Refuse two fields that would take the same value, or one that would take a part of what another takes."""
    taken: dict[tuple[str, ...], str] = {}
    for field in sorted(fields.values(), key=lambda each: len(each.path)):
        for length in range(1, len(field.path) + 1):
            other = taken.get(field.path[:length])
            if other is not None:
                dotted = ".".join(field.path)
                raise Problem(f"fields.{field.name}.from", dotted, f"a path that fields.{other} doesn't take already")
        taken[field.path] = field.name
