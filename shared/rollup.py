"""Compute a day's measures from its events, user by user. Pure: JSON in, figures out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any

import msgspec

from shared.contract import Contract
from shared.contract_aggregate import Aggregate
from shared.measures import Part

EVERYTHING = "all"

Events = list[Any]


class DayRollup:
    """The measures of one day, growing with each user's events."""

    def __init__(self, contract: Contract) -> None:
        names = sorted(_fields_used(contract))
        # Only the fields that are measured are decoded, into a type made for them; its attributes are f0, f1, ...
        attributes = {name: f"f{number}" for number, name in enumerate(names)}
        event: Any = msgspec.defstruct(
            "Event",
            [(attribute, Any, None) for attribute in attributes.values()],
            rename={attribute: name for name, attribute in attributes.items()},
            gc=False,
        )
        self._decode = msgspec.json.Decoder(list[event]).decode
        self._dimensions = [_Dimension(aggregate, attributes) for aggregate in contract.aggregates]
        self.events = 0

    def add(self, events: Iterable[bytes]) -> None:
        """Take in events, all of one user, as they are stored; those of a user may come in parts."""
        decoded = self._decode(b"[" + b",".join(events) + b"]")
        self.events += len(decoded)
        for dimension in self._dimensions:
            dimension.add(decoded)

    def rows(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Return (dimension, value, figures) of every value that there is."""
        for dimension in self._dimensions:
            for value, parts in dimension.values.items():
                figures = (part.result() for part in parts)
                yield dimension.name, value, dict(zip(dimension.measures, figures, strict=True))


class _Dimension:
    def __init__(self, aggregate: Aggregate, attributes: dict[str, str]) -> None:
        self.name = aggregate.dimension
        self.measures = [measure.name for measure in aggregate.measures]
        self.values: dict[str, list[Part]] = {}
        self._new = [measure.part for measure in aggregate.measures]
        self._by = None if aggregate.by is None else attrgetter(attributes[aggregate.by])
        self._where = [(attrgetter(attributes[name]), values) for name, values in aggregate.where]
        self._columns: list[Callable[[Any], Any] | None] = [
            None if measure.field is None else attrgetter(attributes[measure.field]) for measure in aggregate.measures
        ]
        if self._by is None:
            self._parts(EVERYTHING)  # the whole day has figures even if nothing happened

    def add(self, events: Events) -> None:
        for get, values in self._where:
            events = [event for event in events if get(event) in values]
        if not events:
            return
        if self._by is None:
            self._measure(EVERYTHING, events)
            return
        groups: dict[Any, Events] = {}
        for event in events:
            groups.setdefault(_text(self._by(event)), []).append(event)
        for value, members in groups.items():
            if value is not None:
                self._measure(value, members)

    def _measure(self, value: str, events: Events) -> None:
        for part, column in zip(self._parts(value), self._columns, strict=True):
            part.add(events if column is None else [column(event) for event in events])

    def _parts(self, value: str) -> list[Part]:
        parts = self.values.get(value)
        if parts is None:
            parts = self.values[value] = [new() for new in self._new]
        return parts


def _text(value: Any) -> str | None:
    """Return a dimension's value as keys have it; None of what isn't one, such as null."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) is int else None


def _fields_used(contract: Contract) -> set[str]:
    used = set()
    for aggregate in contract.aggregates:
        used |= {aggregate.by, *(name for name, _ in aggregate.where), *(each.field for each in aggregate.measures)}
    return {name for name in used if name is not None}
