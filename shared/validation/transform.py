"""Transform an incoming record into the canonical event: the contract's names, times in UTC, trimmed text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import timestamps
from shared.contracts.model import Contract, Field
from shared.validation.masks import Masks

Shape = Callable[[Any], Any]
ColumnShape = Callable[[Sequence[Any]], list[Any]]


class Transform:
    """The transform of one contract.

    A value that can't be transformed stays unchanged, so that a finding can quote it. Timestamps become `datetime`s in
    UTC. An optional field that is null is left out, so that an empty cell of a CSV file and a JSON object without the
    key make the same event. A default replaces both. Unknown fields follow the others, sorted by name, if the contract
    keeps them. An unknown field with the name of a contract's field is left out, because the event would have two
    fields of that name. So is an object that contains fields of the contract and nothing else.
    """

    def __init__(self, contract: Contract, masks: Masks | None = None) -> None:
        self._plan = [
            (field.name, field.path[0], field.path[1:], field.required, field.default, _unless_masked(field, masks))
            for field in contract.fields
        ]
        self._names = frozenset(field.name for field in contract.fields)
        self._branches = branches_of(contract.fields)
        self._keep = contract.unknown_fields == "keep"
        self._report = contract.unknown_fields == "reject"

    def __call__(self, record: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the canonical event, and the names of the unknown fields if the contract rejects them."""
        rest = _copy(record, self._branches)
        event = {}
        for name, key, inner_path, required, default, shape in self._plan:
            value, found = None, key in rest and _has_path(rest[key], inner_path)
            if found:
                value = pop_path(rest, (key, *inner_path)) if inner_path else rest.pop(key)
            if value is None and default is not None:
                event[name] = default
            elif value is not None or (found and required):
                event[name] = value if shape is None else shape(value)
        prune(rest, self._branches)
        if rest and self._keep:
            event |= {key: rest[key] for key in sorted(rest) if key not in self._names}
        return event, tuple(rest) if self._report else ()


def _unless_masked(field: Field, masks: Masks | None) -> Shape | None:
    """Return the function that transforms a field's value, which values that were masked before pass unchanged."""
    shape = shape_of(field)
    if shape is None or masks is None or field.name not in masks.names:
        return shape
    unchanged: Shape = masks.unless_masked(field.name, shape, lambda masked: masked)
    return unchanged


def shape_of(field: Field) -> Shape | None:
    """Return the function that transforms a field's value, None where values stay unchanged."""
    if field.type == "timestamp":
        return timestamps.reader(field.unit, field.format)
    if field.type == "integer":
        return _to_integer
    if field.trim or field.case:
        return _text_shape(field.trim, field.case)
    return None


def column_shape_of(field: Field) -> ColumnShape | None:
    """Return the function that transforms a column of a field's values like `shape_of`, None where it returns None."""
    shape = shape_of(field)
    if shape is None:
        return None
    if field.type == "timestamp":
        return timestamps.column_reader(field.unit, field.format)
    if field.trim and not field.case:
        return _trim_all
    return lambda column: list(map(shape, column))


def _trim_all(column: Sequence[Any]) -> list[Any]:
    if set(map(type, column)) == {str}:
        return list(map(str.strip, column))
    return [value.strip() if type(value) is str else value for value in column]


def _to_integer(value: Any) -> Any:
    """Return a float with an integral value as an integer: JSON doesn't distinguish 3.0 from 3."""
    return int(value) if type(value) is float and value.is_integer() else value


def _text_shape(trim: bool, case: str | None) -> Shape:
    def shape(value: Any) -> Any:
        if type(value) is not str:
            return value
        if trim:
            value = value.strip()
        return value.lower() if case == "lower" else value.upper() if case == "upper" else value

    return shape


def _copy(record: dict[str, Any], branches: dict[str, Any]) -> dict[str, Any]:
    """Copy only the objects that fields are taken from: a deep copy could exceed Python's recursion limit."""
    copy = dict(record)
    for key, inner_branches in branches.items():
        value = copy.get(key)
        if type(value) is dict:
            copy[key] = _copy(value, inner_branches)
    return copy


def _has_path(value: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if type(value) is not dict or key not in value:
            return False
        value = value[key]
    return True


def pop_path(tree: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Remove and return the value at the path, None if there is none."""
    *parents, last = path
    for key in parents:
        inner = tree.get(key)
        if type(inner) is not dict:
            return None
        tree = inner
    return tree.pop(last, None)


def prune(tree: dict[str, Any], branches: Mapping[str, Any]) -> None:
    """Remove the empty objects on the paths of fields, whether a field was removed from them or they arrived empty.

    Args:
        tree: a record without the values of its fields.
        branches: the objects on the paths, by name, each with the objects inside it.
    """
    for key, inner_branches in branches.items():
        value = tree.get(key)
        if type(value) is dict:
            prune(value, inner_branches)
            if not value:
                del tree[key]


def branches_of(fields: Sequence[Field]) -> dict[str, Any]:
    """Return the objects on the paths of fields, as `prune` takes them."""
    branches: dict[str, Any] = {}
    for field in fields:
        branch = branches
        for key in field.path[:-1]:
            branch = branch.setdefault(key, {})
    return branches
