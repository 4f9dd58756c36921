"""Compute a day's measures from its events, user by user. Pure: JSON in, measures out.

Events are processed in batches and as columns, which costs a fraction of processing single values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, compress, pairwise, repeat
from operator import and_, attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec

from shared.aggregate.accumulators import MAX_EXACT_DISTINCT, Accumulator, Column, Count, Unique, value_types
from shared.aggregate.numeric_accumulators import Max, Mean, Min, Sum
from shared.contracts.model import Aggregate

# The value of a dimension that covers the whole day.
WHOLE_DAY = "all"
# The accumulator of each function that a contract can name.
ACCUMULATORS: dict[str, type[Accumulator]] = {
    "count": Count,
    "unique": Unique,
    "sum": Sum,
    "min": Min,
    "max": Max,
    "mean": Mean,
}

# The events' values by field, and the events themselves under None.
Columns = dict[str | None, list[Any]]


class ValueMeasures(NamedTuple):
    """The measures of one value of a dimension.

    Attributes:
        states: what restores the accumulators of these measures, without those whose result suffices.
    """

    dimension: str
    value: str
    measures: dict[str, Any]
    states: dict[str, Any]


class DayRollup:
    """The measures of one day, updated with each batch of users.

    Measures by the contract's user are final, returned and released as soon as all events of that user are added.
    """

    def __init__(self, user: str, aggregates: Sequence[Aggregate]) -> None:
        """Prepare the measures of the aggregates; `user` is the field that holds an event's user."""
        names = sorted(_fields_used(aggregates))
        # Decode only the fields that are used, into a generated type with the attributes f0, f1, ...
        attributes = {name: f"f{number}" for number, name in enumerate(names)}
        event: Any = msgspec.defstruct(
            "Event",
            [(attribute, Any, None) for attribute in attributes.values()],
            rename={attribute: name for name, attribute in attributes.items()},
            gc=False,
        )
        self._decode = msgspec.json.Decoder(list[event]).decode
        self._getters = {name: attrgetter(attribute) for name, attribute in attributes.items()}
        self._user = user
        self._user_dimensions = [_UserDimension(each) for each in aggregates if each.by == user]
        self._value_dimensions = [_ValueDimension(each) for each in aggregates if each.by != user]

    def measure(self, events: bytes, counts: list[int]) -> list[ValueMeasures]:
        """Add all events of some users.

        Args:
            events: stored events, comma-separated and grouped by user.
            counts: number of events of each user, in the order of `events`.

        Returns:
            The measures of the dimensions by user, which are final.
        """
        decoded = self._decode(b"[" + events + b"]")
        columns: Columns = {name: Column(map(get, decoded)) for name, get in self._getters.items()}
        if self._user in columns:
            columns[self._user] = _share_equal_strings(columns[self._user])
        columns[None] = decoded
        for dimension in self._value_dimensions:
            dimension.add(columns)
        return [measured for dimension in self._user_dimensions for measured in dimension.measure(columns, counts)]

    def finish(self) -> Iterator[ValueMeasures]:
        """Return the measures of all other dimensions."""
        for dimension in self._value_dimensions:
            yield from dimension.finish()

    def take(self) -> Iterator[tuple[str, str, list[Accumulator]]]:
        """Yield and release the accumulators of the other dimensions, by dimension and value.

        Those of several rollups merge into the measures of all their events: see `results`.
        """
        for dimension in self._value_dimensions:
            yield from dimension.take()

    def results(self, dimension: str, value: str, accumulators: Sequence[Accumulator]) -> ValueMeasures:
        """Return the measures of merged accumulators that `take` yielded for this dimension and value."""
        return next(each for each in self._value_dimensions if each.name == dimension).results(value, accumulators)


class _Dimension:
    """The measures of each value of one dimension, and the filter on its events."""

    def __init__(self, aggregate: Aggregate) -> None:
        self.name, self._by = aggregate.dimension, aggregate.by
        self._where = aggregate.where
        self._measures, self._mergeable = aggregate.measures, aggregate.mergeable
        self._measure_names = [measure.name for measure in aggregate.measures]
        self._accumulator_types = [ACCUMULATORS[measure.function] for measure in aggregate.measures]

    def _match(self, columns: Columns) -> list[bool] | None:
        """Return a mask of the events that match `where`; None if all do."""
        mask: list[bool] | None = None
        for name, values in self._where:
            matches = [value in values for value in columns[name]]
            mask = matches if mask is None else list(map(and_, mask, matches))
        return mask

    def _measure_columns(self, columns: Columns) -> list[list[Any]]:
        return [columns[measure.field] for measure in self._measures]

    def _new_accumulators(self) -> list[Accumulator]:
        return [new() for new in self._accumulator_types]

    def results(self, value: str, accumulators: Sequence[Accumulator]) -> ValueMeasures:
        """Return the measures of a value."""
        measures: dict[str, Any] = {}
        states: dict[str, Any] = {}
        for measure, accumulator in zip(self._measures, accumulators, strict=True):
            measures[measure.name] = accumulator.result()
            if accumulator.error is not None:
                measures[measure.error_name] = accumulator.error
            if self._mergeable and (state := accumulator.state(compact=True)) is not None:
                states[measure.name] = state
        return ValueMeasures(self.name, value, measures, states)


class _UserDimension(_Dimension):
    """A dimension by user. A user's events are adjacent, so no accumulator outlives a batch."""

    def measure(self, columns: Columns, counts: list[int]) -> list[ValueMeasures]:
        """Return the measures of the users of a batch; `counts` is the number of events of each user."""
        users, measured, mask = columns[self._by], self._measure_columns(columns), self._match(columns)
        slices = [slice(*bounds) for bounds in pairwise(accumulate(counts, initial=0))]
        names = [_dimension_value(users[each.start]) for each in slices]
        if mask is not None:
            measured = [list(compress(column, mask)) for column in measured]
            counts = [sum(mask[each]) for each in slices]
            slices = [slice(*bounds) for bounds in pairwise(accumulate(counts, initial=0))]
        if max(counts, default=0) > MAX_EXACT_DISTINCT:
            return [
                self.results(name, self._accumulate([column[each] for column in measured]))
                for name, each in zip(names, slices, strict=True)
                if name is not None and each.start < each.stop
            ]
        pairs = [
            new.results(column, slices, states=self._mergeable)
            for new, column in zip(self._accumulator_types, measured, strict=True)
        ]
        results, states = zip(*pairs, strict=True)
        columns_by_name = zip(self._measure_names, states, strict=True)
        state_columns = {name: column for name, column in columns_by_name if column.count(None) < len(column)}
        state_rows = zip(*state_columns.values(), strict=True) if state_columns else repeat((), len(names))
        return [
            ValueMeasures(
                self.name,
                name,
                dict(zip(self._measure_names, values, strict=True)),
                {key: state for key, state in zip(state_columns, states, strict=True) if state is not None},
            )
            for name, count, values, states in zip(names, counts, zip(*results, strict=True), state_rows, strict=True)
            if name is not None and count
        ]

    def _accumulate(self, columns: list[list[Any]]) -> list[Accumulator]:
        accumulators = self._new_accumulators()
        for accumulator, column in zip(accumulators, columns, strict=True):
            accumulator.add(column)
        return accumulators


class _ValueDimension(_Dimension):
    """A dimension by any other field, or of the whole day. It keeps accumulators for each value until the end."""

    def __init__(self, aggregate: Aggregate) -> None:
        super().__init__(aggregate)
        self._accumulators = self._start()

    def _start(self) -> _AccumulatorsByValue:
        accumulators = _AccumulatorsByValue(self._new_accumulators)
        if self._by is None:
            accumulators[WHOLE_DAY]  # creates them: the whole day has measures even without events
        return accumulators

    def add(self, columns: Columns) -> None:
        """Add the events of a batch."""
        measured, mask = self._measure_columns(columns), self._match(columns)
        if self._by is None:
            if mask is not None:
                measured = [list(compress(column, mask)) for column in measured]
            for accumulator, column in zip(self._accumulators[WHOLE_DAY], measured, strict=True):
                accumulator.add(column)
            return
        values = columns[self._by]
        if value_types(values) != {str}:
            values = list(map(_dimension_value, values))
            has_value = [value is not None for value in values]
            mask = has_value if mask is None else list(map(and_, mask, has_value))
        if mask is not None:
            values, *measured = (list(compress(column, mask)) for column in (values, *measured))
        by_event = list(map(self._accumulators.__getitem__, values))
        for index, (accumulator_type, column) in enumerate(zip(self._accumulator_types, measured, strict=True)):
            accumulator_type.add_each(list(map(itemgetter(index), by_event)), column)

    def finish(self) -> Iterator[ValueMeasures]:
        """Return the measures of every value."""
        for value, accumulators in self._accumulators.items():
            yield self.results(value, accumulators)

    def take(self) -> Iterator[tuple[str, str, list[Accumulator]]]:
        """Yield and release the accumulators of every value."""
        taken, self._accumulators = self._accumulators, self._start()
        for value, accumulators in taken.items():
            yield self.name, value, accumulators


def _share_equal_strings(column: list[Any]) -> Column:
    """Return the column with one object for all equal strings, so that a set of users holds each string once."""
    if value_types(column) != {str}:
        return Column(column)
    shared: dict[str, str] = {}
    return Column(map(shared.setdefault, column, column))


class _AccumulatorsByValue(dict[str, list[Accumulator]]):
    """Accumulators by value, created on first access."""

    def __init__(self, new: Callable[[], list[Accumulator]]) -> None:
        super().__init__()
        self._new = new

    def __missing__(self, value: str) -> list[Accumulator]:
        accumulators = self[value] = self._new()
        return accumulators


def _dimension_value(value: Any) -> str | None:
    """Return a dimension's value as row keys have it; None for null and other values that no row can have."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) is int else None


def _fields_used(aggregates: Sequence[Aggregate]) -> set[str]:
    used = set()
    for aggregate in aggregates:
        used |= {aggregate.by, *(name for name, _ in aggregate.where), *(each.field for each in aggregate.measures)}
    return {name for name in used if name is not None}
