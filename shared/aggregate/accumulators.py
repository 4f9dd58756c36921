"""Accumulators: the mergeable state of the measures `count`, `unique`, `sum`, `min`, `max` and `mean`. Pure.

An accumulator takes in some of a day's events in any order and merges with others in any order. The result is the same
to the last bit, so parallel scans and reruns of a day agree. The state beside a result restores an accumulator that
merges with those of other days; equal events give an equal state.

Adding a value only appends it to a list or a set. Accumulators process these buffers in bulk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import compress
from typing import Any, Protocol, Self, TypeVar

from shared.aggregate.distinct_sketch import Sketch, distinct_keys, distinct_text_keys, value_of_key

Number = int | float
A = TypeVar("A")
# The result and the state of each slice.
Results = tuple[list[Any], list[Any]]

# Largest number of distinct values that `unique` counts exactly. That many strings take about 7 MB.
MAX_EXACT_DISTINCT = 65_536
# Largest number of distinct values in a compact state. A larger set is stored as a sketch of about 16 KiB.
MAX_STORED_DISTINCT = 1_024
# Values buffered before they are added to a sketch.
_MAX_BUFFERED_VALUES = 4_096

_COMPARABLE = frozenset({str, int, float, bool})


class Accumulator(Protocol):
    """The state of one measure over some of the events."""

    def add(self, values: Sequence[Any]) -> None:
        """Add the values of further events, ignoring those that the measure can't use, such as null."""

    @classmethod
    def add_each(cls, accumulators: Sequence[Self], values: Sequence[Any]) -> None:
        """Add each value to the accumulator at the same index."""

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice], *, states: bool) -> Results:
        """Return the result and the compact state of each slice of the values.

        Args:
            values: of all slices.
            slices: each of at most `MAX_EXACT_DISTINCT` values.
            states: whether to compute the states; None for each otherwise.
        """

    def merge(self, other: Any) -> None:
        """Merge another accumulator of the same measure into this one."""

    def result(self) -> Number | None:
        """Return the measure of all values; None where no such number exists."""

    def state(self, *, compact: bool) -> Any:
        """Return what restores the accumulator beside its result, as JSON values; None if the result suffices.

        Args:
            compact: whether to bound the size to some 20 KB, with an estimate where many values are distinct.
        """

    @classmethod
    def restore(cls, result: Any, state: Any) -> Self:
        """Return the accumulator with this result and state.

        Raises:
            ValueError: the state is missing or isn't one of this measure.
        """

    @property
    def error(self) -> float | None:
        """Relative error of an estimated result; None if the result is exact."""


class Count:
    """The number of events."""

    __slots__ = ("total",)

    error = None

    def __init__(self) -> None:
        self.total = 0

    def add(self, values: Sequence[Any]) -> None:
        """Count the values, including null."""
        self.total += len(values)

    @classmethod
    def add_each(cls, accumulators: Sequence[Self], values: Sequence[Any]) -> None:
        """Count each value in the accumulator at the same index."""
        for accumulator in accumulators:
            accumulator.total += 1

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice], *, states: bool) -> Results:
        """Return the length of each slice."""
        return [each.stop - each.start for each in slices], [None] * len(slices)

    def merge(self, other: Count) -> None:
        """Add the other's count."""
        self.total += other.total

    def result(self) -> int:
        """Return the count."""
        return self.total

    def state(self, *, compact: bool) -> None:
        """Return None: the count suffices."""

    @classmethod
    def restore(cls, result: Any, state: Any) -> Self:
        """Return the accumulator with this count."""
        restored = cls()
        restored.total = result
        return restored


class Unique:
    """The number of distinct values: exact up to `MAX_EXACT_DISTINCT`, estimated beyond to bound the memory.

    Whether it is estimated depends only on the number of distinct values, and the estimate only on their set.
    """

    __slots__ = ("buffer", "sketch")

    def __init__(self) -> None:
        self.buffer: set[Any] = set()
        self.sketch: Sketch | None = None

    def add(self, values: Sequence[Any]) -> None:
        """Add the values that are strings, numbers or booleans."""
        self._add(values_of_types(_COMPARABLE, values))

    @classmethod
    def add_each(cls, accumulators: Sequence[Self], values: Sequence[Any]) -> None:
        """Add each value to the accumulator at the same index."""
        accumulators, values = pairs_of_types(_COMPARABLE, accumulators, values)
        for accumulator, value in zip(accumulators, values, strict=True):
            accumulator.buffer.add(value)
        for accumulator in set(accumulators):
            accumulator._add(())

    @classmethod
    def results(cls, values: Sequence[Any], slices: Sequence[slice], *, states: bool) -> Results:
        """Return the number of distinct values in each slice, and these values."""
        if value_types(values) <= _COMPARABLE:
            distinct = [set(values[each]) for each in slices]
        else:
            distinct = [set(values_of_types(_COMPARABLE, values[each])) for each in slices]
        if not states:
            return list(map(len, distinct)), [None] * len(slices)
        keys_of = distinct_text_keys if value_types(values) == {str} else distinct_keys
        return list(map(len, distinct)), [_compact_state(each, keys_of) for each in distinct]

    def merge(self, other: Unique) -> None:
        """Add the other's values."""
        if other.sketch is not None:
            self._flush_to_sketch().merge(other.sketch)
        self._add(other.buffer)

    def result(self) -> int:
        """Return the number of distinct values."""
        return len(self.buffer) if self.sketch is None else self._flush_to_sketch().estimate()

    def state(self, *, compact: bool) -> list[str] | str:
        """Return the distinct values as sorted keys, or the sketch in base64."""
        if self.sketch is not None:
            return self._flush_to_sketch().encode(compact=compact)
        return _compact_state(self.buffer, distinct_keys) if compact else distinct_keys(self.buffer)

    @classmethod
    def restore(cls, result: Any, state: Any) -> Self:
        """Return the accumulator with these distinct values; the result isn't used."""
        restored = cls()
        if isinstance(state, str):
            restored.sketch = Sketch.decode(state)
        elif isinstance(state, list):
            restored.buffer = set(map(value_of_key, state))
        else:
            raise ValueError(f"found {type(state).__name__}, expected the distinct values or a sketch")
        return restored

    @property
    def error(self) -> float | None:
        """Relative error of the result at 95 % confidence; None if it is exact."""
        return None if self.sketch is None else self.sketch.error

    def _add(self, values: Collection[Any]) -> None:
        self.buffer.update(values)
        if len(self.buffer) > (MAX_EXACT_DISTINCT if self.sketch is None else _MAX_BUFFERED_VALUES):
            self._flush_to_sketch()

    def _flush_to_sketch(self) -> Sketch:
        """Move the buffered values into the sketch and return it."""
        if self.sketch is None:
            self.sketch = Sketch()
        self.sketch.add(self.buffer)
        self.buffer = set()
        return self.sketch


def _compact_state(distinct: set[Any], keys_of: Callable[[set[Any]], list[str]]) -> list[str] | str:
    if len(distinct) <= MAX_STORED_DISTINCT:
        return keys_of(distinct)
    sketch = Sketch()
    sketch.add(distinct)
    return sketch.encode(compact=True)


class Column(list[Any]):
    """The values of one field for many events, with the set of their types."""

    __slots__ = ("types",)

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(values)
        self.types = frozenset(map(type, self))


def value_types(values: Sequence[Any]) -> frozenset[type]:
    """Return the types of the values."""
    return values.types if type(values) is Column else frozenset(map(type, values))


def values_of_types(types: frozenset[type], values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of these types."""
    if value_types(values) <= types:
        return values
    return [value for value in values if type(value) in types]


def pairs_of_types(
    types: frozenset[type], accumulators: Sequence[A], values: Sequence[Any]
) -> tuple[Sequence[A], Sequence[Any]]:
    """Return the values of these types and the accumulators at their indexes."""
    if value_types(values) <= types:
        return accumulators, values
    mask = [type(value) in types for value in values]
    return list(compress(accumulators, mask)), list(compress(values, mask))
