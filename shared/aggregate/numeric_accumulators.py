"""Measures of numbers: sum, mean, min and max, exact and whatever the order. Pure.

A number costs no more than its place in a list: it is worked in when enough has gathered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, ClassVar, Self

from shared.aggregate.accumulators import Number, only, only_each, types_of

# Numbers that a part holds before it works them in.
_MAX_HELD_VALUES = 64

_NUMBERS = frozenset({int, float})


class _Numbers:
    """A measure of numbers."""

    __slots__ = ("held",)

    error: ClassVar[float | None] = None

    def __init__(self) -> None:
        self.held: list[Number] = []

    def add(self, values: Sequence[Any]) -> None:
        """Take in the values that are numbers."""
        self.held += only(_NUMBERS, values)
        if len(self.held) > _MAX_HELD_VALUES:
            self._settle()

    @classmethod
    def add_each(cls, parts: Sequence[Self], values: Sequence[Any]) -> None:
        """Take in each value that is a number into its part."""
        parts, values = only_each(_NUMBERS, parts, values)
        for part, value in zip(parts, values, strict=True):
            part.held.append(value)
        for part in set(parts):
            if len(part.held) > _MAX_HELD_VALUES:
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
        types = types_of(held)
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
        if cls is Sum and types_of(values) == {float}:
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


def _distilled(floats: list[float]) -> list[float]:
    """Return few floats that have the exact total of these, which are used up."""
    partials = []
    while total := math.fsum(floats):
        partials.append(total)
        floats.append(-total)
    return partials
