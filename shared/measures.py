"""What is computed of a day's events, value by value: count, unique, sum, min, max, mean, and how parts merge.

A part is made of some of the events, in any order, and merged with others, in any order; the result is the same to the
last bit. A day can therefore be read by many scans at once, and a rerun leaves exactly what the first run left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol, cast

Function = Literal["count", "unique", "sum", "min", "max", "mean"]
Number = int | float

_WRITTEN = re.compile(r"\s*(unique|sum|min|max|mean)\s*\(\s*([^()]+?)\s*\)\s*")


class Part(Protocol):
    """A measure of some of the events."""

    def add(self, values: Iterable[Any]) -> None:
        """Take in the values of some more events; those a measure can't use, such as null, are passed over."""

    def merge(self, other: Any) -> None:
        """Take in another part of the same measure."""

    def result(self) -> Number | None:
        """Return the measure of all that was taken in; None where there is no such number."""


class Count:
    """How many."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0

    def add(self, values: Iterable[Any]) -> None:
        """Count the values, whatever they are."""
        self.total += len(values) if isinstance(values, list) else sum(1 for _ in values)

    def merge(self, other: Count) -> None:
        """Add the other's count."""
        self.total += other.total

    def result(self) -> int:
        """Return the count."""
        return self.total


class Unique:
    """How many different ones."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: set[Any] = set()

    def add(self, values: Iterable[Any]) -> None:
        """Remember the values that are texts, numbers, true or false."""
        self.values.update(value for value in values if isinstance(value, str | int | float))

    def merge(self, other: Unique) -> None:
        """Remember the other's values too."""
        self.values |= other.values

    def result(self) -> int:
        """Return how many different values there were."""
        return len(self.values)


class Sum:
    """The exact total of integers and finite floats, rounded once, at the end.

    Whole numbers (every float from 2**53 on is one) are added up as Python integers. Fractions are kept as
    non-overlapping partials, as `math.fsum` keeps them (J. R. Shewchuk, "Adaptive Precision
    Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997).
    """

    __slots__ = ("floats", "partials", "total")

    def __init__(self) -> None:
        self.total = 0
        self.partials: list[float] = []
        self.floats = False

    def add(self, values: Iterable[Any]) -> None:
        """Add the values that are numbers."""
        for value in values:
            if type(value) is int:
                self.total += value
            elif type(value) is float:
                self.floats = True
                self._add_float(value)

    def merge(self, other: Sum) -> None:
        """Add the other's total."""
        self.total += other.total
        self.floats |= other.floats
        for partial in other.partials:
            self._add_float(partial)

    def result(self) -> Number | None:
        """Return the total: an int if all values were, else the nearest float; None if that would be infinite."""
        if not self.floats:
            return self.total
        try:
            return float(self.exact())
        except OverflowError:
            return None

    def exact(self) -> Fraction:
        """Return the total, unrounded."""
        return sum((Fraction(partial) for partial in self.partials), Fraction(self.total))

    def _add_float(self, value: float) -> None:
        if value.is_integer():
            self.total += int(value)
            return
        kept = 0
        for partial in self.partials:
            large, small = (value, partial) if abs(value) >= abs(partial) else (partial, value)
            value = large + small
            error = small - (value - large)
            if error:
                self.partials[kept] = error
                kept += 1
        self.partials[kept:] = [value]


class Mean:
    """The exact total over the count, rounded once."""

    __slots__ = ("count", "sum")

    def __init__(self) -> None:
        self.sum = Sum()
        self.count = 0

    def add(self, values: Iterable[Any]) -> None:
        """Take in the values that are numbers."""
        numbers = _numbers(values)
        self.count += len(numbers)
        self.sum.add(numbers)

    def merge(self, other: Mean) -> None:
        """Take in what the other has."""
        self.count += other.count
        self.sum.merge(other.sum)

    def result(self) -> float | None:
        """Return the mean, None of no values."""
        return float(self.sum.exact() / self.count) if self.count else None


class Min:
    """The least number."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Number | None = None

    def add(self, values: Iterable[Any]) -> None:
        """Take in the values that are numbers."""
        numbers = _numbers(values)
        if self.value is not None:
            numbers.append(self.value)
        self.value = min(numbers, key=self._rank, default=None)

    def merge(self, other: Min) -> None:
        """Take in what the other has."""
        self.add([other.value])

    def result(self) -> Number | None:
        """Return the extreme, None of no values."""
        return self.value

    @staticmethod
    def _rank(number: Number) -> tuple[Number, bool]:
        return number, type(number) is float  # of 1 and 1.0 always the same one, in whatever order they come


class Max(Min):
    """The greatest number."""

    __slots__ = ()

    @staticmethod
    def _rank(number: Number) -> tuple[Number, bool]:
        return -number, type(number) is float


_PARTS: dict[str, Callable[[], Part]] = {
    "count": Count,
    "unique": Unique,
    "sum": Sum,
    "min": Min,
    "max": Max,
    "mean": Mean,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure as a contract names it: `plays = "count"`, `listeners = "unique(user_id)"`.

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

    def part(self) -> Part:
        """Return a part that has taken in nothing yet."""
        return _PARTS[self.function]()


def _numbers(values: Iterable[Any]) -> list[Number]:
    """Return the values that are numbers, without the minus of a zero."""
    return [value + 0 for value in values if type(value) is int or type(value) is float]
