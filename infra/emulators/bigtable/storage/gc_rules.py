"""Garbage collection rules of column families.

Bigtable collects within about a week, so its clients can read cells that a rule covers
(https://cloud.google.com/bigtable/docs/garbage-collection#timeframe). The emulator returns none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, TypeVar

from infra.emulators.errors import invalid

# Whether a rule collects a cell: the number of newer cells in its column, and its age in microseconds. A collected cell
# stays collected with more newer cells or a greater age.
Rule = Callable[[int, int], bool]

_Cell = TypeVar("_Cell", bound=tuple[Any, ...])

_column, _timestamp = itemgetter(0, 1), itemgetter(2)


def compile_rule(message: Any) -> Rule | None:
    """Return the rule of a `GcRule`; None if it collects nothing.

    Raises:
        ApiError: INVALID_ARGUMENT; a limit is below its minimum.
    """
    kind = message.WhichOneof("rule")
    if kind == "max_num_versions":
        versions = message.max_num_versions
        if versions < 1:
            raise invalid(f"gc_rule.max_num_versions: found {versions}, expected 1 or more")
        return lambda newer, _age: newer >= versions
    if kind == "max_age":
        micros = message.max_age.ToMicroseconds()
        if micros < 1000:
            raise invalid(f"gc_rule.max_age: found {micros} microseconds, expected 1 millisecond or more")
        return lambda _newer, age: age > micros
    if kind == "union":
        rules = [rule for rule in map(compile_rule, message.union.rules) if rule]
        return (lambda newer, age: any(rule(newer, age) for rule in rules)) if rules else None
    if kind == "intersection":
        members = [compile_rule(each) for each in message.intersection.rules]
        rules = [rule for rule in members if rule]
        if not rules or len(rules) < len(members):
            return None
        return lambda newer, age: all(rule(newer, age) for rule in rules)
    return None


class Collector:
    """Finds the cells that the rules of a table collect.

    Args:
        rules: rules by family; a family without one keeps its cells.
        now: microseconds since 1970.
    """

    def __init__(self, rules: Mapping[str, Rule], now: int) -> None:
        self._rules, self._now = rules, now
        self._column: tuple[Any, ...] = ()
        self._newer = 0

    def collects(self, row_key: bytes, family: str, qualifier: bytes, timestamp: int) -> bool:
        """Return whether a cell is collected; cells come in the order of the table."""
        column = (row_key, family, qualifier)
        self._newer = self._newer + 1 if column == self._column else 0
        self._column = column
        rule = self._rules.get(family)
        return rule is not None and rule(self._newer, self._now - timestamp)

    def kept(self, row_key: bytes, cells: list[_Cell]) -> list[_Cell]:
        """Return the cells of a row that aren't collected; the tuples begin with the fields of a `Cell`."""
        if not self._rules or not cells or not self._may_collect(cells):
            return cells
        return [cell for cell in cells if not self.collects(row_key, cell[0], cell[1], cell[2])]

    def _may_collect(self, cells: list[_Cell]) -> bool:
        """Return False if no rule collects even the oldest cell, with as many newer ones as the row has."""
        oldest = self._now - min(map(_timestamp, cells))
        newer = 0 if len(set(map(_column, cells))) == len(cells) else len(cells)
        return any(rule(newer, oldest) for rule in self._rules.values())
