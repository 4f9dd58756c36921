"""What is computed of a day's events, value by value: count, unique, sum, min, max, mean, and how parts merge. Pure.

A part is made of some of the events, in any order, and merged with others, in any order; the result is the same to the
last bit. A day can therefore be read by many scans at once, and a rerun leaves exactly what the first run left.

A value costs a part no more than its place in a list or a set: that is worked in when enough has gathered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import compress
from typing import Any, ClassVar, Protocol, Self, TypeVar

from shared.sketch import Sketch

Number = int | float
P = TypeVar("P")

# Different values up to which `unique` counts; so many texts take about 7 MB.
MOST_EXACT = 65_536
# Values that a part holds before it works them in.
_MOST_HELD = 64
_MOST_HELD_SKETCHED = 4_096

_NUMBERS = frozenset({int, float})
_COMPARABLE = frozenset({str, int, float, bool})


class Part(Protocol):
    """A measure of some of the events."""

    def add(self, values: Sequence[Any]) -> None:
        """Take in the values of some more events; those a measure can't use, such as null, are passed over."""

    @classmethod
    def add_each(cls, parts: Sequence[Self], values: Sequence[Any]) -> None:
        """Take in values, each into the part that has the same place among the parts."""

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice]) -> list[Any]:
        """Return the result of each of these slices of the values, none of more than `MOST_EXACT`."""

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
    """How many different ones: counted up to `MOST_EXACT`, estimated beyond, where keeping all takes much memory.

    Which of the two depends on how many different values there are alone, and so does the estimate on which they are.
    """

    __slots__ = ("held", "sketch")

    def __init__(self) -> None:
        self.held: set[Any] = set()
        self.sketch: Sketch | None = None

    def add(self, values: Sequence[Any]) -> None:
        """Take note of the values that are texts, numbers, true or false."""
        self._add(_only(_COMPARABLE, values))

    @classmethod
    def add_each(cls, parts: Sequence[Self], values: Sequence[Any]) -> None:
        """Take note of each value in its part."""
        parts, values = _only_each(_COMPARABLE, parts, values)
        for part, value in zip(parts, values, strict=True):
            part.held.add(value)
        for part in set(parts):
            part._add(())

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice]) -> list[int]:
        """Return how many different values each slice has."""
        if _COMPARABLE.issuperset(map(type, values)):
            return [len(set(values[each])) for each in slices]
        return [len(set(_only(_COMPARABLE, values[each]))) for each in slices]

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
        if len(self.held) > (MOST_EXACT if self.sketch is None else _MOST_HELD_SKETCHED):
            self._sketched()

    def _sketched(self) -> Sketch:
        """Return a sketch of all values."""
        if self.sketch is None:
            self.sketch = Sketch()
        self.sketch.add(self.held)
        self.held = set()
        return self.sketch


class _Numbers:
    """A measure of numbers."""

    __slots__ = ("held",)

    error: ClassVar[float | None] = None

    def __init__(self) -> None:
        self.held: list[Number] = []

    def add(self, values: Sequence[Any]) -> None:
        """Take in the values that are numbers."""
        self.held += _only(_NUMBERS, values)
        if len(self.held) > _MOST_HELD:
            self._settle()

    @classmethod
    def add_each(cls, parts: Sequence[Self], values: Sequence[Any]) -> None:
        """Take in each value that is a number into its part."""
        parts, values = _only_each(_NUMBERS, parts, values)
        for part, value in zip(parts, values, strict=True):
            part.held.append(value)
        for part in set(parts):
            if len(part.held) > _MOST_HELD:
                part._settle()

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice]) -> list[Number | None]:
        """Return the result of each slice."""
        parts = [cls() for _ in slices]
        for part, each in zip(parts, slices, strict=True):
            part.add(values[each])
        return [part.result() for part in parts]

    def result(self) -> Number | None:
        """Return the measure of all that was taken in; None where there is no such number."""
        raise NotImplementedError

    def _settle(self) -> None:
        """Work in what is held."""
        held, self.held = self.held, []
        types = set(map(type, held))
        if len(types) == 1:
            self._work_in(held, floats=float in types)
        else:
            self._work_in([number for number in held if type(number) is int], floats=False)
            self._work_in([number for number in held if type(number) is float], floats=True)

    def _work_in(self, numbers: list[Any], *, floats: bool) -> None:
        """Work in numbers that are all integers, or all floats."""
        raise NotImplementedError


class Sum(_Numbers):
    """The exact total of integers and finite floats, rounded once, at the end.

    Integers are added up as Python's, which have any size. Of floats a few are kept that have the same exact total:
    `math.fsum` rounds a total once, so what it leaves over is exact, and so on until nothing is left over.
    """

    __slots__ = ("count", "floats", "partials", "total")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.total = 0
        self.partials: list[float] = []
        self.floats = False

    def merge(self, other: Sum) -> None:
        """Add the other's total."""
        self.held += other.held
        self.count += other.count
        self.total += other.total
        self.floats |= other.floats
        self._add_floats(other.partials)

    def result(self) -> Number | None:
        """Return the total: an int if all values were, else the nearest float; None if that would be infinite."""
        self._settle()
        if not self.floats:
            return self.total
        if not self.total:
            return math.fsum(self.partials)
        try:
            return float(self._exact())
        except OverflowError:
            return None

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice]) -> list[Number | None]:
        """Return the total of each slice."""
        if cls is Sum and set(map(type, values)) == {float}:
            with suppress(OverflowError):
                return [math.fsum(values[each]) if each.start < each.stop else 0 for each in slices]
        return super().results(values, slices)

    def _exact(self) -> Fraction:
        return sum((Fraction(partial) for partial in self.partials), Fraction(self.total))

    def _work_in(self, numbers: list[Any], *, floats: bool) -> None:
        self.count += len(numbers)
        if not floats:
            self.total += sum(numbers)
        elif numbers:
            self.floats = True
            self._add_floats(numbers)

    def _add_floats(self, floats: list[float]) -> None:
        values = self.partials + floats
        try:
            self.partials = _distilled([*values])
        except OverflowError:  # on the way, even if the total is none; floats as large as that are whole numbers
            self.total += sum(int(value) for value in values if value.is_integer())
            self.partials = _distilled([value for value in values if not value.is_integer()])


class Mean(Sum):
    """The exact total over the count, rounded once."""

    __slots__ = ()

    def result(self) -> float | None:
        """Return the mean, None of no values."""
        self._settle()
        return float(self._exact() / self.count) if self.count else None


class Min(_Numbers):
    """The least number."""

    __slots__ = ("value",)

    _extreme: ClassVar[Callable[..., Any]] = min

    def __init__(self) -> None:
        super().__init__()
        self.value: Number | None = None

    def merge(self, other: Min) -> None:
        """Take in what the other has."""
        self.held += other.held
        if other.value is not None:
            self.held.append(other.value)

    def result(self) -> Number | None:
        """Return the extreme, None of no values."""
        self._settle()
        return self.value

    def _work_in(self, numbers: list[Any], *, floats: bool) -> None:
        if not numbers:
            return
        extreme = type(self)._extreme(numbers) + 0  # no minus at a zero
        # Of 1 and 1.0 always the integer, in whatever order they come.
        if self.value is None or (extreme == self.value and not floats):
            self.value = extreme
        else:
            self.value = type(self)._extreme(self.value, extreme)


class Max(Min):
    """The greatest number."""

    __slots__ = ()

    _extreme = max


def _only(types: frozenset[type], values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of these types."""
    if types.issuperset(map(type, values)):
        return values
    return [value for value in values if type(value) in types]


def _only_each(types: frozenset[type], parts: Sequence[P], values: Sequence[Any]) -> tuple[Sequence[P], Sequence[Any]]:
    """Return the values of these types, and their parts."""
    if types.issuperset(map(type, values)):
        return parts, values
    fits = [type(value) in types for value in values]
    return list(compress(parts, fits)), list(compress(values, fits))


def _distilled(floats: list[float]) -> list[float]:
    """Return few floats that have the exact total of these, which are used up."""
    partials = []
    while total := math.fsum(floats):
        partials.append(total)
        floats.append(-total)
    return partials
