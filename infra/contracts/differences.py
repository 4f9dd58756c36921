"""Compare two contracts: fields, rules, measures, and whether cell keys move. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import structs

from shared.contracts.model import Aggregate, Contract, Field
from shared.contracts.paths import join_path

Effect = Literal["added", "removed", "tightened", "loosened", "changed", "moves cell keys"]

# Bounds: the greater value of a least bound is the tighter one, and the smaller value of a greatest bound.
_LEAST, _GREATEST = ("min_length", "minimum"), ("max_length", "maximum", "max_future", "max_age")
# Keys of a contract file that the model names otherwise.
_KEYS = {"path": "from", "minimum": "min", "maximum": "max"}
_MICROSECONDS = ("max_future", "max_age")
_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000))


@dataclass(frozen=True)
class Difference:
    """One difference between two contracts.

    Attributes:
        key: of the contract file.
        effect: what the new value does. A tightened rule can reject events that were stored before.
        before, after: the values; None where the key is missing.
    """

    key: str
    effect: Effect
    before: Any
    after: Any

    def __str__(self) -> str:
        match self.effect:
            case "added":
                return f"{self.key}: added, {_shown(self.after)}"
            case "removed":
                return f"{self.key}: removed, was {_shown(self.before)}"
            case _:
                return f"{self.key}: {self.effect}, {_shown(self.before)} → {_shown(self.after)}"


def differences(before: Contract, after: Contract) -> list[Difference]:
    """Return the differences: the layout first, then fields, checks and measures."""
    return [
        *_layout(before, after),
        *_tables(before, after),
        *_fields(before, after),
        *_checks(before, after),
        *_aggregates(before, after),
    ]


def moves_cell_keys(found: list[Difference]) -> bool:
    """Return whether the new contract gives events other cell keys."""
    return any(each.effect == "moves cell keys" for each in found)


def _layout(before: Contract, after: Contract) -> Iterator[Difference]:
    old, new = before.fingerprint(), after.fingerprint()
    for key in dict.fromkeys((*old, *new)):
        if key != "fields" and old.get(key) != new.get(key):
            yield Difference(f"event.{key}", "moves cell keys", old.get(key), new.get(key))
    for name in dict.fromkeys((*old["fields"], *new["fields"])):
        first, second = old["fields"].get(name), new["fields"].get(name)
        if first is not None and second is not None:  # another field in a role is a difference of `event` above
            for key in dict.fromkeys((*first, *second)):
                if first.get(key) != second.get(key):
                    values = (_plain(key, each.get(key)) for each in (first, second))
                    yield Difference(f"fields.{name}.{_KEYS.get(key, key)}", "moves cell keys", *values)


def _tables(before: Contract, after: Contract) -> Iterator[Difference]:
    if before.name != after.name:
        yield Difference("name", "changed", before.name, after.name)
    for key, first in structs.asdict(before.source).items():
        second = getattr(after.source, key)
        if first != second:
            yield Difference(f"source.{key}", "changed", first, second)


def _fields(before: Contract, after: Contract) -> Iterator[Difference]:
    old, new = ({each.name: each for each in contract.fields} for contract in (before, after))
    layout = {each.key for each in _layout(before, after)}
    for name in dict.fromkeys((*old, *new)):
        key = f"fields.{name}"
        if name not in new:
            yield Difference(key, "removed", _summary(old[name]), None)
        elif name not in old:
            yield Difference(key, "added", None, _summary(new[name]))
        else:
            yield from (each for each in _field(key, old[name], new[name]) if each.key not in layout)


def _field(where: str, old: Field, new: Field) -> Iterator[Difference]:
    for each in structs.fields(Field):
        key, first, second = each.name, getattr(old, each.name), getattr(new, each.name)
        if first != second:
            values = _plain(key, first), _plain(key, second)
            yield Difference(f"{where}.{_KEYS.get(key, key)}", _effect(key, first, second), *values)


def _effect(key: str, first: Any, second: Any) -> Effect:
    """Return what the change of a rule does to events."""
    if key in _LEAST:
        return "tightened" if first is None or (second is not None and second > first) else "loosened"
    if key in _GREATEST:
        return "tightened" if first is None or (second is not None and second < first) else "loosened"
    if key == "required":
        return "tightened" if second else "loosened"
    if key == "severity":
        return "tightened" if second == "reject" else "loosened"
    if key == "pattern" and None in (first, second):
        return "tightened" if first is None else "loosened"
    if key == "type" and {first, second} == {"integer", "number"}:
        return "tightened" if second == "integer" else "loosened"
    if key == "one_of":
        old, new = (None if values is None else set(values) for values in (first, second))
        if new is None or (old is not None and old < new):
            return "loosened"
        if old is None or new < old:
            return "tightened"
    return "changed"


def _checks(before: Contract, after: Contract) -> Iterator[Difference]:
    first, second = before.unknown_fields, after.unknown_fields
    if first != second:
        effect: Effect = "tightened" if second == "reject" else "loosened" if first == "reject" else "changed"
        yield Difference("checks.unknown_fields", effect, first, second)
    if before.max_rejected != after.max_rejected:
        yield Difference("checks.max_rejected", "changed", before.max_rejected, after.max_rejected)


def _aggregates(before: Contract, after: Contract) -> Iterator[Difference]:
    old, new = ({each.dimension: _keys(each) for each in contract.aggregates} for contract in (before, after))
    for dimension in dict.fromkeys((*old, *new)):
        where = f"aggregates.{dimension}"
        if dimension not in new:
            yield Difference(where, "removed", old[dimension], None)
        elif dimension not in old:
            yield Difference(where, "added", None, new[dimension])
        else:
            yield from _measures(where, old[dimension], new[dimension])


def _measures(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*old, *new)):
        first, second = old.get(key), new.get(key)
        if first != second:
            effect: Effect = "added" if key not in old else "removed" if key not in new else "changed"
            yield Difference(f"{where}.{key}", effect, first, second)


def _keys(aggregate: Aggregate) -> dict[str, Any]:
    """Return the keys of an aggregate's table."""
    table: dict[str, Any] = {"by": aggregate.by} if aggregate.by else {}
    if aggregate.where:
        table["where"] = {name: list(values) for name, values in aggregate.where}
    if not aggregate.mergeable:
        table["mergeable"] = False
    for each in aggregate.measures:
        table[each.name] = each.function if each.field is None else f"{each.function}({each.field})"
    return table


def _summary(field: Field) -> dict[str, Any]:
    """Return the keys of a field's table that differ from their defaults."""
    return {
        _KEYS.get(each.name, each.name): _plain(each.name, value)
        for each in structs.fields(Field)
        if each.name != "name" and (value := getattr(field, each.name)) != each.default and value != (field.name,)
    }


def _plain(key: str, value: Any) -> Any:
    """Return a value as a contract file has it."""
    if key == "path" and value is not None:
        return join_path(value)
    if key in _MICROSECONDS and value is not None:
        return next((f"{value // size}{unit}" for unit, size in _UNITS if value % size == 0), f"{value} us")
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items()) or "nothing"
    return ", ".join(map(_shown, value)) if isinstance(value, list | tuple) else str(value)
