"""The measures of a day under the music contract, computed in plain Python as the expected result of every run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from typing import Any

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.tables.aggregates import AggregatesTable
from shared.tables.state import StateTable
from tests.bench.results import MeasurementError

# Measures by dimension and value.
ValueMeasures = dict[str, dict[str, dict[str, Any]]]


def of_events(events: Iterable[dict[str, Any]]) -> ValueMeasures:
    """Return the measures of events."""
    users: dict[str, list[Any]] = {}
    songs: dict[str, list[Any]] = {}
    types: dict[str, list[Any]] = {}
    for event in events:
        values = event["userId"], event["songId"], event["duration"]
        users.setdefault(event["userId"], []).append(values)
        types.setdefault(event["event_type"], []).append(values)
        if event["event_type"] == "song_play":
            songs.setdefault(event["songId"], []).append(values)
    everything = [each for of_user in users.values() for each in of_user]
    return {
        "user": {
            name: {
                "total_events": len(each),
                "unique_songs": len({song for _, song, _ in each}),
                "listening_seconds": math.fsum(duration for *_, duration in each),
            }
            for name, each in users.items()
        },
        "song": {
            name: {
                "plays": len(each),
                "unique_users": len({user for user, *_ in each}),
                "mean_seconds": float(sum(Fraction(duration) for *_, duration in each) / len(each)),
            }
            for name, each in songs.items()
        },
        "event_type": {
            name: {"total_events": len(each), "unique_users": len({user for user, *_ in each})}
            for name, each in types.items()
        },
        "all": {
            "all": {
                "total_events": len(everything),
                "active_users": len(users),
                "unique_songs": len({song for _, song, _ in everything}),
                "listening_seconds": math.fsum(duration for *_, duration in everything),
                "longest_seconds": max(duration for *_, duration in everything),
            }
        },
    }


def verify_stored(settings: Settings, day: date, expected: ValueMeasures) -> None:
    """Compare the stored measures of a day with the expected ones, bit by bit; MeasurementError if they differ."""
    found = asyncio.run(_stored(settings, day, expected))
    for dimension, values in expected.items():
        compare(dimension, found[dimension], values)


def compare(dimension: str, found: dict[str, Any], expected: dict[str, Any], *, within: float = 0.0) -> None:
    """Compare measures; floats may differ by the relative tolerance `within`."""
    if found.keys() != expected.keys():
        raise MeasurementError(f"{dimension}: found measures of {len(found):,} values, expected {len(expected):,}")
    for value, measures in expected.items():
        same = found[value].keys() == measures.keys() and all(
            math.isclose(found[value][name], measure, rel_tol=within) if within else found[value][name] == measure
            for name, measure in measures.items()
        )
        if not same:
            raise MeasurementError(f"{dimension} {value}: found {found[value]}, expected {measures}")


async def _stored(settings: Settings, day: date, dimensions: Iterable[str]) -> ValueMeasures:
    bigtable = Bigtable(settings)
    aggregates = AggregatesTable(bigtable, StateTable(bigtable))
    found = {dimension: dict(await aggregates.of_day(dimension, day)) for dimension in dimensions}
    await bigtable.close()
    return found
