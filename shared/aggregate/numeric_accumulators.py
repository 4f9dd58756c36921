"""Accumulators of numbers: exact `sum`, `mean`, `min` and `max`, independent of the order. Pure.

Adding a number only appends it to a buffer. Buffers are flushed in bulk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, ClassVar, Self

from shared.aggregate.accumulators import Number, Results, pairs_of_types, value_types, values_of_types

# Numbers that an accumulator buffers before it flushes them.
_MAX_BUFFERED_VALUES = 64

_NUMBERS = frozenset({int, float})


class _NumericAccumulator:
    """An accumulator that ignores all values other than numbers."""

    __slots__ = ("buffer",)

    error: ClassVar[float | None] = None

    def __init__(self) -> None:
        self.buffer: list[Number] = []

    def add(self, values: Sequence[Any]) -> None:
        """Add the values that are numbers."""
        self.buffer += values_of_types(_NUMBERS, values)
        if len(self.buffer) > _MAX_BUFFERED_VALUES:
            self._flush()

    @classmethod
    def add_each(cls, accumulators: Sequence[Self], values: Sequence[Any]) -> None:
        """Add each value that is a number to the accumulator at the same index."""
        accumulators, values = pairs_of_types(_NUMBERS, accumulators, values)
        for accumulator, value in zip(accumulators, values, strict=True):
            accumulator.buffer.append(value)
        for accumulator in set(accumulators):
            if len(accumulator.buffer) > _MAX_BUFFERED_VALUES:
                accumulator._flush()

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice], *, states: bool) -> Results:
        """Return the result and the state of each slice."""
        accumulators = [cls() for _ in slices]
        for accumulator, each in zip(accumulators, slices, strict=True):
            accumulator.add(values[each])
        results = [accumulator.result() for accumulator in accumulators]
        return results, [accumulator.state(compact=True) if states else None for accumulator in accumulators]

    def result(self) -> Number | None:
        """Return the measure of all numbers; None where no such number exists."""
        raise NotImplementedError

    def state(self, *, compact: bool) -> Any:
        """Return None: the result suffices."""

    @classmethod
    def restore(cls, result: Any, state: Any) -> Self:
        """Return the accumulator with this result."""
        restored = cls()
        if result is not None:
            restored.buffer.append(result)
        return restored

    def _flush(self) -> None:
        """Process the buffered numbers and empty the buffer."""
        numbers, self.buffer = self.buffer, []
        types = value_types(numbers)
        if len(types) == 1:
            self._process(numbers, floats=float in types)
        else:
            self._process([number for number in numbers if type(number) is int], floats=False)
            self._process([number for number in numbers if type(number) is float], floats=True)

    def _process(self, numbers: list[Any], *, floats: bool) -> None:
        """Update the state with numbers that are all floats or all integers."""
        raise NotImplementedError


class Sum(_NumericAccumulator):
    """The exact total of integers and finite floats, rounded once at the end.

    Integers are added exactly as Python integers. Floats are reduced to a few partials with the same exact total:
    `math.fsum` rounds a total once, and the rounding error is summed again until it is zero.
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
        self.buffer += other.buffer
        self.count += other.count
        self.total += other.total
        self.floats |= other.floats
        self._add_floats(other.partials)

    def result(self) -> Number | None:
        """Return the total: an int if all values are ints, else the nearest float; None if that is infinite."""
        self._flush()
        if not self.floats:
            return self.total
        if not self.total:
            return math.fsum(self.partials)
        try:
            return float(self._exact_total())
        except OverflowError:
            return None

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice], *, states: bool) -> Results:
        """Return the total and the state of each slice."""
        if cls is Sum and value_types(values) == {float}:
            with suppress(OverflowError):
                totals = [math.fsum(values[each]) if each.start < each.stop else 0 for each in slices]
                if not states:
                    return totals, [None] * len(slices)
                partials = [_exact_partials([*values[each]]) for each in slices]
                return totals, [each if len(each) > 1 else None for each in partials]
        return super().results(values, slices, states=states)

    def state(self, *, compact: bool) -> list[Number] | None:
        """Return numbers with the exact total; None if the result is the exact total."""
        self._flush()
        parts = self._parts()
        return parts if len(parts) > 1 or self.result() is None else None

    @classmethod
    def restore(cls, result: Any, state: Any) -> Self:
        """Return the accumulator with this total; the result is used if there is no state."""
        restored = cls()
        restored.add(_numbers(state) if state is not None else [result])
        restored.floats = state is not None
        return restored

    def _parts(self) -> list[Number]:
        """Return few numbers with the exact total, each the float nearest to the rest or an integer beyond floats."""
        if not self.total:
            return [*self.partials]
        if not self.floats:
            return [self.total]
        parts: list[Number] = []
        exact = self._exact_total()
        while exact:
            try:
                parts.append(float(exact))
            except OverflowError:
                parts.append(int(exact))
            exact -= Fraction(parts[-1])
        return parts

    def _exact_total(self) -> Fraction:
        return sum(map(Fraction, self.partials), Fraction(self.total))

    def _process(self, numbers: list[Any], *, floats: bool) -> None:
        self.count += len(numbers)
        if not floats:
            self.total += sum(numbers)
        elif numbers:
            self.floats = True
            self._add_floats(numbers)

    def _add_floats(self, floats: list[float]) -> None:
        values = self.partials + floats
        try:
            self.partials = _exact_partials([*values])
        except OverflowError:
            # An intermediate sum can overflow where the total doesn't. Floats that large are whole numbers.
            self.total += sum(int(value) for value in values if value.is_integer())
            self.partials = _exact_partials([value for value in values if not value.is_integer()])


class Mean(Sum):
    """The exact total divided by the count, rounded once."""

    __slots__ = ()

    def result(self) -> float | None:
        """Return the mean; None if there are no numbers, or if it is infinite."""
        self._flush()
        with suppress(OverflowError):
            return float(self._exact_total() / self.count) if self.count else None
        return None

    def state(self, *, compact: bool) -> list[Number]:
        """Return the count, followed by numbers with the exact total."""
        self._flush()
        return [self.count, *self._parts()]

    @classmethod
    def restore(cls, result: Any, state: Any) -> Self:
        """Return the accumulator with this total and count; the result isn't used."""
        restored = cls()
        numbers = _numbers(state)
        if not numbers or type(numbers[0]) is not int:
            raise ValueError(f"found {state!r}, expected a count and numbers")
        restored.add(numbers[1:])
        restored._flush()
        restored.count = numbers[0]
        return restored


class Min(_NumericAccumulator):
    """The smallest number."""

    __slots__ = ("value",)

    _extreme: ClassVar[Callable[..., Any]] = min

    def __init__(self) -> None:
        super().__init__()
        self.value: Number | None = None

    def merge(self, other: Min) -> None:
        """Add the other's numbers."""
        self.buffer += other.buffer
        if other.value is not None:
            self.buffer.append(other.value)

    def result(self) -> Number | None:
        """Return the extreme; None if there are no numbers."""
        self._flush()
        return self.value

    def _process(self, numbers: list[Any], *, floats: bool) -> None:
        if not numbers:
            return
        extreme = type(self)._extreme(numbers) + 0  # turns -0.0 into 0.0
        # Of equal numbers such as 1 and 1.0 the integer wins, regardless of the order.
        if self.value is None or (extreme == self.value and not floats):
            self.value = extreme
        else:
            self.value = type(self)._extreme(self.value, extreme)


class Max(Min):
    """The largest number."""

    __slots__ = ()

    _extreme = max


def _numbers(state: Any) -> list[Number]:
    """Return a state that is a list of numbers; ValueError if it is anything else."""
    if not isinstance(state, list) or not value_types(state) <= _NUMBERS:
        raise ValueError(f"found {str(state)[:80]}, expected numbers")
    return state


def _exact_partials(floats: list[float]) -> list[float]:
    """Return few floats with the same exact total; the given list is used as scratch space."""
    partials = []
    while total := math.fsum(floats):
        partials.append(total)
        floats.append(-total)
    return partials
