"""The figures of a day under the music contract, by plain Python: what every run is held to."""

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
from tests.bench.results import Wrong

Figures = dict[str, dict[str, dict[str, Any]]]  # by dimension and value


def of_events(events: Iterable[dict[str, Any]]) -> Figures:
    """Return the figures of events."""
    users: dict[str, list[Any]] = {}
    songs: dict[str, list[Any]] = {}
    types: dict[str, list[Any]] = {}
    for event in events:
        mine = event["userId"], event["songId"], event["duration"]
        users.setdefault(event["userId"], []).append(mine)
        types.setdefault(event["event_type"], []).append(mine)
        if event["event_type"] == "song_play":
            songs.setdefault(event["songId"], []).append(mine)
    everything = [each for some in users.values() for each in some]
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


def expect_stored(settings: Settings, day: date, expected: Figures) -> None:
    """Hold what is stored of a day to figures, to the last bit; Wrong if it isn't so."""
    found = asyncio.run(_stored(settings, day, expected))
    for dimension, values in expected.items():
        compare(dimension, found[dimension], values)


def compare(dimension: str, found: dict[str, Any], expected: dict[str, Any], *, within: float = 0.0) -> None:
    """Hold figures to others, of which floats may be `within` so much of them."""
    if found.keys() != expected.keys():
        raise Wrong(f"{dimension}: {len(found):,} values have figures of {len(expected):,}")
    for value, figures in expected.items():
        same = found[value].keys() == figures.keys() and all(
            math.isclose(found[value][name], figure, rel_tol=within) if within else found[value][name] == figure
            for name, figure in figures.items()
        )
        if not same:
            raise Wrong(f"{dimension} {value}: found {found[value]}, expected {figures}")


async def _stored(settings: Settings, day: date, dimensions: Iterable[str]) -> Figures:
    bigtable = Bigtable(settings)
    rollups = AggregatesTable(bigtable, StateTable(bigtable))
    found = {dimension: dict(await rollups.of_day(dimension, day)) for dimension in dimensions}
    await bigtable.close()
    return found
