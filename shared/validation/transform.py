"""Shape an incoming record into the canonical event: the contract's names, times in UTC, text trimmed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shared import timestamps
from shared.contracts.model import Contract, Field

Shape = Callable[[Any], Any]
ColumnShape = Callable[[Sequence[Any]], list[Any]]


class Transform:
    """The shaping a contract asks for.

    A value that can't be shaped stays as it came, so that the checks can say what was found. Timestamps become
    `datetime`s in UTC. An optional field that is null is left out, as if it were absent, so that an empty cell of a CSV
    file and a JSON object without the key make the same event. A default stands in for both. Fields the contract
    doesn't name are kept unless it says otherwise, behind the others and by name; one that has the name of a
    contract's field, but isn't what the field is taken from, is left out, since it can't be told from the real one.
    """

    def __init__(self, contract: Contract) -> None:
        self._plan = [
            (field.name, field.path[0], field.path[1:], field.required, field.default, shape_of(field))
            for field in contract.fields
        ]
        self._names = frozenset(field.name for field in contract.fields)
        self._branches: dict[str, Any] = {}
        for field in contract.fields:
            branch = self._branches
            for key in field.path[:-1]:
                branch = branch.setdefault(key, {})
        self._keep = contract.unknown_fields == "keep"
        self._report = contract.unknown_fields == "reject"

    def __call__(self, record: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the canonical event, and the names of unknown fields if the contract rejects them."""
        rest = _copy(record, self._branches)
        event = {}
        for name, key, deeper, required, default, shape in self._plan:
            value, found = None, key in rest and _holds(rest[key], deeper)
            if found:
                value = _take(rest, (key, *deeper)) if deeper else rest.pop(key)
            if value is None and default is not None:
                event[name] = default
            elif value is not None or (found and required):
                event[name] = value if shape is None else shape(value)
        if rest and self._keep:
            event |= {key: rest[key] for key in sorted(rest) if key not in self._names}
        return event, tuple(rest) if self._report else ()


def shape_of(field: Field) -> Shape | None:
    """Return what shapes a field's value; None where it stays as it is."""
    if field.type == "timestamp":
        return timestamps.reader(field.unit, field.format)
    if field.type == "integer":
        return _whole
    if field.trim or field.case:
        return _text_shape(field.trim, field.case)
    return None


def column_shape_of(field: Field) -> ColumnShape | None:
    """Return what shapes a field's values in many events, None where there is none; each as `shape_of` does."""
    shape = shape_of(field)
    if shape is None:
        return None
    if field.type == "timestamp":
        return timestamps.column_reader(field.unit, field.format)
    if field.trim and not field.case:
        return _trimmed
    return lambda column: list(map(shape, column))


def _trimmed(column: Sequence[Any]) -> list[Any]:
    return [value.strip() if type(value) is str else value for value in column]


def _whole(value: Any) -> Any:
    """JSON has one kind of number, so 3.0 is an integer too."""
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
    """Copy what something may be taken out of, no deeper: a record may be nested further than Python can recurse."""
    copy = dict(record)
    for key, deeper in branches.items():
        value = copy.get(key)
        if type(value) is dict:
            copy[key] = _copy(value, deeper)
    return copy


def _holds(value: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if type(value) is not dict or key not in value:
            return False
        value = value[key]
    return True


def _take(tree: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Take the value at the path out of the tree, and what becomes empty by that."""
    head, *rest = path
    if not rest:
        return tree.pop(head)
    value = _take(tree[head], tuple(rest))
    if not tree[head]:
        del tree[head]
    return value
