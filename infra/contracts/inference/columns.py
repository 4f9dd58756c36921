"""Columns of a sample: the values of each path of its records, with their kinds and counts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Path = tuple[str, ...]

# An object with more keys, most of them rare, is a mapping from data to data, and its keys are no fields.
_MAX_KEYS_OF_RECORDS = 40
_RARE = 0.2  # share of the objects that have a key of a mapping


@dataclass(frozen=True, eq=False)  # compared by identity, so that columns are keys
class Column:
    """The values of one path.

    Attributes:
        path: the keys that lead to the values.
        values: one for each record; None where a record has none, null or an empty string.
    """

    path: Path
    values: Sequence[Any]

    @cached_property
    def present(self) -> list[Any]:
        """The values that aren't null."""
        return [value for value in self.values if value is not None]

    @cached_property
    def kinds(self) -> Counter[type]:
        """The Python types of the values, with counts."""
        return Counter(map(type, self.present))

    @cached_property
    def null_share(self) -> float:
        """The share of the records without a value."""
        return 1 - len(self.present) / len(self.values) if self.values else 1.0

    @cached_property
    def distinct(self) -> int:
        """The number of different values; 0 for arrays and objects."""
        return len(self.counts)

    @cached_property
    def counts(self) -> Counter[Any]:
        """The different values with their counts, in the order in which they first occur."""
        return Counter() if self.kinds.keys() & {list, dict} else Counter(self.present)

    def only(self, *types: type) -> bool:
        """Return whether the column has values, all of these types."""
        return bool(self.kinds) and self.kinds.keys() <= set(types)


@dataclass
class _Node:
    values: dict[int, Any] = field(default_factory=dict)
    objects: dict[int, dict[str, Any]] = field(default_factory=dict)
    children: dict[str, _Node] = field(default_factory=dict)

    def add(self, row: int, value: Any) -> None:
        if isinstance(value, dict) and value:
            self.objects[row] = value
            for key, inner in value.items():
                self.children.setdefault(key, _Node()).add(row, inner)
        elif value is not None and value != "":
            self.values[row] = value

    def is_mapping(self) -> bool:
        rare = _RARE * len(self.objects)
        few = sum(len(child.values) + len(child.objects) <= rare for child in self.children.values())
        return len(self.children) > _MAX_KEYS_OF_RECORDS and few > len(self.children) / 2


def columns_of(records: Sequence[Mapping[str, Any]], whole: Collection[Path] = ()) -> list[Column]:
    """Return the column of each path of the records, in the order in which the paths first occur.

    Objects are followed to their values. An object that is empty, is a mapping from data to data, or has other values
    beside it on its path, is a value itself. So are those at the paths `whole`.
    """
    root = _Node()
    for row, record in enumerate(records):
        for key, value in record.items():
            root.children.setdefault(key, _Node()).add(row, value)
    columns = []
    for path, values in _leaves((), root.children.items(), whole):
        column: list[Any] = [None] * len(records)
        for row, value in values.items():
            column[row] = value
        columns.append(Column(path, column))
    return columns


def _leaves(
    parents: Path, children: Iterable[tuple[str, _Node]], whole: Collection[Path]
) -> Iterable[tuple[Path, dict[int, Any]]]:
    for key, node in children:
        path = (*parents, key)
        if not node.children or node.values or path in whole or node.is_mapping():
            yield path, node.values | node.objects
        else:
            yield from _leaves(path, node.children.items(), whole)
