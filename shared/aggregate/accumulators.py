"""What is computed of a day's events, value by value: count, unique, sum, min, max, mean, and how parts merge. Pure.

A part is made of some of the events, in any order, and merged with others, in any order; the result is the same to the
last bit. A day can therefore be read by many scans at once, and a rerun leaves exactly what the first run left.

A value costs a part no more than its place in a list or a set: that is worked in when enough has gathered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import compress
from typing import Any, Protocol, Self, TypeVar

from shared.aggregate.distinct_sketch import Sketch

Number = int | float
P = TypeVar("P")

# Different values up to which `unique` counts; so many texts take about 7 MB.
MAX_EXACT_VALUES = 65_536
# Values that are held before they go into a sketch.
_MAX_HELD_VALUES = 4_096

_COMPARABLE = frozenset({str, int, float, bool})


class Accumulator(Protocol):
    """A measure of some of the events."""

    def add(self, values: Sequence[Any]) -> None:
        """Take in the values of some more events; those a measure can't use, such as null, are passed over."""

    @classmethod
    def add_each(cls, parts: Sequence[Self], values: Sequence[Any]) -> None:
        """Take in values, each into the part that has the same place among the parts."""

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice]) -> list[Any]:
        """Return the result of each of these slices of the values, none of more than `MAX_EXACT_VALUES`."""

    def merge(self, other: Any) -> None:
        """Take in another part of the same measure."""

    def result(self) -> Number | None:
        """Return the measure of all that was taken in; None where there is no such number."""

    @property
    def error(self) -> float | None:
        """How far an estimated result may be off, relative to it; None of one that is exact."""


class Count:
    """How many."""

    __slots__ = ("total",)

    error = None

    def __init__(self) -> None:
        self.total = 0

    def add(self, values: Sequence[Any]) -> None:
        """Count the values, whatever they are."""
        self.total += len(values)

    @classmethod
    def add_each(cls, parts: Sequence[Self], values: Sequence[Any]) -> None:
        """Count each value in its part."""
        for part in parts:
            part.total += 1

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice]) -> list[int]:
        """Return how many values each slice has."""
        return [each.stop - each.start for each in slices]

    def merge(self, other: Count) -> None:
        """Add the other's count."""
        self.total += other.total

    def result(self) -> int:
        """Return the count."""
        return self.total


class Unique:
    """How many different ones: counted up to `MAX_EXACT_VALUES`, estimated beyond, where keeping all takes much memory.

    Which of the two depends on how many different values there are alone, and so does the estimate on which they are.
    """

    __slots__ = ("held", "sketch")

    def __init__(self) -> None:
        self.held: set[Any] = set()
        self.sketch: Sketch | None = None

    def add(self, values: Sequence[Any]) -> None:
        """Take note of the values that are texts, numbers, true or false."""
        self._add(only(_COMPARABLE, values))

    @classmethod
    def add_each(cls, parts: Sequence[Self], values: Sequence[Any]) -> None:
        """Take note of each value in its part."""
        parts, values = only_each(_COMPARABLE, parts, values)
        for part, value in zip(parts, values, strict=True):
            part.held.add(value)
        for part in set(parts):
            part._add(())

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice]) -> list[int]:
        """Return how many different values each slice has."""
        if types_of(values) <= _COMPARABLE:
            return [len(set(values[each])) for each in slices]
        return [len(set(only(_COMPARABLE, values[each]))) for each in slices]

    def merge(self, other: Unique) -> None:
        """Take note of the other's values too."""
        if other.sketch is not None:
            self._sketched().merge(other.sketch)
        self._add(other.held)

    def result(self) -> int:
        """Return how many different values there were."""
        return len(self.held) if self.sketch is None else self._sketched().estimate()

    @property
    def error(self) -> float | None:
        """How far the result may be off, relative to it, at 95 % confidence; None of a count."""
        return None if self.sketch is None else self.sketch.error

    def _add(self, values: Collection[Any]) -> None:
        self.held.update(values)
        if len(self.held) > (MAX_EXACT_VALUES if self.sketch is None else _MAX_HELD_VALUES):
            self._sketched()

    def _sketched(self) -> Sketch:
        """Return a sketch of all values."""
        if self.sketch is None:
            self.sketch = Sketch()
        self.sketch.add(self.held)
        self.held = set()
        return self.sketch


class Column(list[Any]):
    """Values of many events, which know of what types they are."""

    __slots__ = ("types",)

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(values)
        self.types = frozenset(map(type, self))


def types_of(values: Sequence[Any]) -> frozenset[type]:
    """Return the types of the values."""
    return values.types if type(values) is Column else frozenset(map(type, values))


def only(types: frozenset[type], values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of these types."""
    if types_of(values) <= types:
        return values
    return [value for value in values if type(value) in types]


def only_each(types: frozenset[type], parts: Sequence[P], values: Sequence[Any]) -> tuple[Sequence[P], Sequence[Any]]:
    """Return the values of these types, and their parts."""
    if types_of(values) <= types:
        return parts, values
    fits = [type(value) in types for value in values]
    return list(compress(parts, fits)), list(compress(values, fits))
