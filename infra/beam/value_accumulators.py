"""The accumulators of one value of a dimension as bytes, and the CombineFn that merges those of many bundles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import apache_beam as beam
import msgspec

from shared.aggregate.accumulators import Accumulator

# Bytes of states that are kept as they came. A set of a few hundred values takes five times the memory of its state.
_MAX_UNMERGED_BYTES = 128 * 1024


class ValueAccumulators:
    """The accumulators of a value's measures, in the order of the contract; empty before the first merge.

    It keeps their full states, which restore them exactly, and merges these only when they are many.
    """

    __slots__ = ("_max_bytes", "_states", "_types")

    def __init__(self, accumulators: Sequence[Accumulator] = ()) -> None:
        self._types: tuple[type[Accumulator], ...] = tuple(map(type, accumulators))
        self._states: list[bytes] = [_encode(accumulators)] if accumulators else []
        self._max_bytes = _MAX_UNMERGED_BYTES

    def merge(self, other: ValueAccumulators) -> Self:
        """Add the events of the other one, which stays as it is."""
        self._types = self._types or other._types
        self._states += other._states
        if len(self._states) > 1 and sum(map(len, self._states)) > self._max_bytes:
            self._states = [_encode(self.accumulators())]
            # Twice the size that can't be merged any further, so that each state is merged only a few times.
            self._max_bytes = max(_MAX_UNMERGED_BYTES, 2 * len(self._states[0]))
        return self

    def accumulators(self) -> list[Accumulator]:
        """Return the merged accumulators."""
        merged = [new() for new in self._types]
        for states in self._states:
            pairs = zip(self._types, msgspec.json.decode(states), strict=True)
            for accumulator, (new, (result, state)) in zip(merged, pairs, strict=True):
                accumulator.merge(new.restore(result, state))
        return merged


def _encode(accumulators: Iterable[Accumulator]) -> bytes:
    return msgspec.json.encode([(each.result(), each.state(compact=False)) for each in accumulators])


class MergeAccumulators(beam.CombineFn):
    """Merges the accumulators of a value."""

    def create_accumulator(self) -> ValueAccumulators:
        """Return empty accumulators."""
        return ValueAccumulators()

    def add_input(self, accumulator: ValueAccumulators, element: ValueAccumulators) -> ValueAccumulators:
        """Merge an element into the accumulators."""
        return accumulator.merge(element)

    def merge_accumulators(self, accumulators: Iterable[ValueAccumulators]) -> ValueAccumulators:
        """Merge accumulators into new ones."""
        merged = ValueAccumulators()
        for each in accumulators:
            merged.merge(each)
        return merged

    def extract_output(self, accumulator: ValueAccumulators) -> ValueAccumulators:
        """Return the accumulators: their results are computed where they are written."""
        return accumulator
