"""The accumulators of one value of a dimension, and the CombineFn that merges those of many bundles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import apache_beam as beam
import msgspec

from shared.aggregate.accumulators import Accumulator


class ValueAccumulators:
    """The accumulators of a value's measures, in the order of the contract; empty before the first merge.

    Between processes it is their full state, which restores them exactly.
    """

    def __init__(self, accumulators: Iterable[Accumulator] = ()) -> None:
        self.accumulators = list(accumulators)

    def merge(self, other: ValueAccumulators) -> Self:
        """Add the events of the other one, which stays as it is."""
        if not self.accumulators:
            self.accumulators = [type(each)() for each in other.accumulators]
        for accumulator, added in zip(self.accumulators, other.accumulators, strict=True):
            accumulator.merge(added)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        states = [(each.result(), each.state(compact=False)) for each in self.accumulators]
        return _restore, (tuple(map(type, self.accumulators)), msgspec.json.encode(states))


def _restore(types: Sequence[type[Accumulator]], states: bytes) -> ValueAccumulators:
    pairs = zip(types, msgspec.json.decode(states), strict=True)
    return ValueAccumulators(kind.restore(result, state) for kind, (result, state) in pairs)


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
            if each.accumulators:
                merged.merge(each)
        return merged

    def extract_output(self, accumulator: ValueAccumulators) -> ValueAccumulators:
        """Return the accumulators: their results are computed where they are written."""
        return accumulator
