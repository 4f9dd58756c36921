"""Compute a day's measures from its events, user by user. Pure: JSON in, figures out.

Events are measured many at a time and as columns, since a column of values costs a fraction of as many single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, compress, pairwise
from operator import and_, attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec

from shared.aggregate.accumulators import MAX_EXACT_VALUES, Accumulator, Column, Count, Unique, types_of
from shared.aggregate.numeric_accumulators import Max, Mean, Min, Sum
from shared.contracts.model import Aggregate

EVERYTHING = "all"
# The accumulator of each function that a contract may ask for.
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
    """The measures of one value of a dimension."""

    dimension: str
    value: str
    figures: dict[str, Any]


class DayRollup:
    """The measures of one day, growing with each user's events.

    What is measured by the contract's user is finished as soon as that user's events are through, and isn't kept.
    """

    def __init__(self, user: str, aggregates: Sequence[Aggregate]) -> None:
        """Prepare to measure what the aggregates ask for; `user` is the field that says whose an event is."""
        names = sorted(_fields_used(aggregates))
        # Only the fields that are measured are decoded, into a type made for them; its attributes are f0, f1, ...
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
        self._users = [_Users(each) for each in aggregates if each.by == user]
        self._values = [_Values(each) for each in aggregates if each.by != user]

    def measure(self, events: bytes, counts: list[int]) -> list[ValueMeasures]:
        """Take in all events of some users.

        Args:
            events: as they are stored, with commas between them.
            counts: how many each user has, one user's behind the other's.

        Returns:
            What is measured by the user, which is finished with this.
        """
        decoded = self._decode(b"[" + events + b"]")
        columns: Columns = {name: Column(map(get, decoded)) for name, get in self._getters.items()}
        if self._user in columns:
            columns[self._user] = _once(columns[self._user])
        columns[None] = decoded
        for dimension in self._values:
            dimension.add(columns)
        return [figures for dimension in self._users for figures in dimension.measure(columns, counts)]

    def finish(self) -> Iterator[ValueMeasures]:
        """Return the figures of all other dimensions."""
        for dimension in self._values:
            yield from dimension.finish()


class _Dimension:
    """What is measured of each value of a dimension, and of which events."""

    def __init__(self, aggregate: Aggregate) -> None:
        self._name, self._by = aggregate.dimension, aggregate.by
        self._where = aggregate.where
        self._measures = aggregate.measures
        self._names = [measure.name for measure in aggregate.measures]
        self._new = [ACCUMULATORS[measure.function] for measure in aggregate.measures]

    def _counting(self, columns: Columns) -> list[bool] | None:
        """Return of each event whether it counts; None if all do."""
        counting: list[bool] | None = None
        for name, values in self._where:
            fits = [value in values for value in columns[name]]
            counting = fits if counting is None else list(map(and_, counting, fits))
        return counting

    def _measured(self, columns: Columns) -> list[list[Any]]:
        return [columns[measure.field] for measure in self._measures]

    def _parts(self) -> list[Accumulator]:
        return [new() for new in self._new]

    def _figures(self, value: str, parts: list[Accumulator]) -> ValueMeasures:
        figures: dict[str, Any] = {}
        for measure, part in zip(self._measures, parts, strict=True):
            figures[measure.name] = part.result()
            if part.error is not None:
                figures[measure.error_name] = part.error
        return ValueMeasures(self._name, value, figures)


class _Users(_Dimension):
    """A dimension by the user, whose events lie side by side."""

    def measure(self, columns: Columns, counts: list[int]) -> list[ValueMeasures]:
        """Return the figures of users, of whose events there are so many each, one behind the other."""
        users, measured, counting = columns[self._by], self._measured(columns), self._counting(columns)
        slices = [slice(*bounds) for bounds in pairwise(accumulate(counts, initial=0))]
        names = [_text(users[each.start]) for each in slices]
        if counting is not None:
            measured = [list(compress(column, counting)) for column in measured]
            counts = [sum(counting[each]) for each in slices]
            slices = [slice(*bounds) for bounds in pairwise(accumulate(counts, initial=0))]
        if max(counts, default=0) > MAX_EXACT_VALUES:
            return [
                self._figures(name, self._parts_of([column[each] for column in measured]))
                for name, each in zip(names, slices, strict=True)
                if name is not None and each.start < each.stop
            ]
        results = [new.results(column, slices) for new, column in zip(self._new, measured, strict=True)]
        return [
            ValueMeasures(self._name, name, dict(zip(self._names, figures, strict=True)))
            for name, count, figures in zip(names, counts, zip(*results, strict=True), strict=True)
            if name is not None and count
        ]

    def _parts_of(self, columns: list[list[Any]]) -> list[Accumulator]:
        parts = self._parts()
        for part, column in zip(parts, columns, strict=True):
            part.add(column)
        return parts


class _Values(_Dimension):
    """A dimension of which any event may have any value: it keeps a part of each measure for each."""

    def __init__(self, aggregate: Aggregate) -> None:
        super().__init__(aggregate)
        self._kept = _Kept(self._parts)
        if self._by is None:
            self._kept[EVERYTHING]  # the whole day has figures even if nothing happened

    def add(self, columns: Columns) -> None:
        """Measure events."""
        measured, counting = self._measured(columns), self._counting(columns)
        if self._by is None:
            if counting is not None:
                measured = [list(compress(column, counting)) for column in measured]
            for part, column in zip(self._kept[EVERYTHING], measured, strict=True):
                part.add(column)
            return
        values = columns[self._by]
        if types_of(values) != {str}:
            values = list(map(_text, values))
            fits = [value is not None for value in values]
            counting = fits if counting is None else list(map(and_, counting, fits))
        if counting is not None:
            values, *measured = (list(compress(column, counting)) for column in (values, *measured))
        of_events = list(map(self._kept.__getitem__, values))
        for place, (new, column) in enumerate(zip(self._new, measured, strict=True)):
            new.add_each(list(map(itemgetter(place), of_events)), column)

    def finish(self) -> Iterator[ValueMeasures]:
        """Return the figures of every value that there is."""
        for value, parts in self._kept.items():
            yield self._figures(value, parts)


def _once(column: list[Any]) -> Column:
    """Return a column in which texts that are equal are one object: who has a million users keeps one for each."""
    if types_of(column) != {str}:
        return Column(column)
    known: dict[str, str] = {}
    return Column(map(known.setdefault, column, column))


class _Kept(dict[str, list[Accumulator]]):
    """Parts by value, which are made when they are asked for."""

    def __init__(self, new: Callable[[], list[Accumulator]]) -> None:
        super().__init__()
        self._new = new

    def __missing__(self, value: str) -> list[Accumulator]:
        parts = self[value] = self._new()
        return parts


def _text(value: Any) -> str | None:
    """Return a dimension's value as keys have it; None of what isn't one, such as null."""
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
