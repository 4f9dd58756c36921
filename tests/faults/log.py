"""A random log of events, and its expected tables, computed with the standard library alone."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zlib import crc32

FIRST_DAY = date(2024, 1, 15)
TYPES = ["click", "song_play", "page_view", "search", "like"]
_MIDNIGHT = datetime(2024, 1, 15, tzinfo=UTC)


def write(path: Path, *, events: int, users: int, days: int = 3, bad: float = 0.01, seed: int = 0) -> None:
    """Write a log with one event on each line; `bad` is the share of invalid ones."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        for number in range(events):
            event: dict[str, Any] = {
                "event_id": f"e{number:07d}",
                "userId": f"user-{int(users * rng.random() ** 2):05d}",  # some users have more events than others
                "timestamp": (_MIDNIGHT + timedelta(seconds=round(rng.random() * 86_400 * days, 3))).isoformat(),
                "event_type": rng.choice([*TYPES, " Click "]),
                "songId": f"song-{rng.randrange(200)}",
                "duration": rng.randrange(0, 2_400) / 8,
                "device": rng.choice(["phone", "web", "desk"]),
            }
            line = json.dumps(event).encode()
            if rng.random() < bad:
                line = rng.choice(
                    [
                        json.dumps({**event, "userId": None}).encode(),
                        json.dumps({**event, "event_type": "dance"}).encode(),
                        json.dumps({**event, "timestamp": f"day {number}"}).encode(),
                        json.dumps([number, "no object"]).encode(),
                        line[:-9],
                    ]
                )
            file.write(line + b"\n")


@dataclass
class Expected:
    """The expected content of the tables.

    Attributes:
        events: stored event by row key and qualifier.
        bad: bytes of the rejected events.
        aggregates: measures by dimension, day and value.
    """

    events: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    bad: set[bytes] = field(default_factory=set)
    aggregates: dict[tuple[str, date, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def days(self) -> list[date]:
        return sorted({day for _, day, _ in self.aggregates})


def expected(path: Path) -> Expected:
    """Return the expected tables of a log."""
    result = Expected()
    by_value: dict[tuple[str, date, str], list[dict[str, Any]]] = defaultdict(list)
    for line in path.read_bytes().splitlines():
        event = _stored(line)
        if event is None:
            result.bad.add(line)
            continue
        moment = datetime.fromisoformat(event["timestamp"])
        user = event["user_id"]
        since_midnight = moment - datetime.combine(moment.date(), datetime.min.time(), UTC)
        row = f"{crc32(user.encode()) % 64:02x}#{moment:%Y%m%d}#{quote(user, safe='')}"
        qualifier = f"{86_399_999_999 - since_midnight // timedelta(microseconds=1):011d}#{event['event_id']}"
        result.events[row, qualifier] = event
        for dimension, value in _dimensions(event):
            by_value[dimension, moment.date(), value].append(event)
    for key, events in by_value.items():
        result.aggregates[key] = _measures(key[0], events)
    return result


def _stored(line: bytes) -> dict[str, Any] | None:
    """Return the event as it must be stored; None if it must be rejected."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not event["userId"]:
        return None
    try:
        moment = datetime.fromisoformat(event["timestamp"])
    except ValueError:
        return None
    event_type = event["event_type"].strip().lower()
    if event_type not in TYPES:
        return None
    changed = {"user_id": event.pop("userId"), "song_id": event.pop("songId")}
    text = moment.isoformat().replace("+00:00", "Z")
    return {**event, **changed, "event_type": event_type, "timestamp": text}


def _dimensions(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "all", "all"
    yield "user", event["user_id"]
    yield "event_type", event["event_type"]
    if event["event_type"] == "song_play":
        yield "song", event["song_id"]


def _measures(dimension: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    users = len({event["user_id"] for event in events})
    songs = len({event["song_id"] for event in events})
    seconds = [event["duration"] for event in events]
    match dimension:
        case "user":
            return {"total_events": len(events), "unique_songs": songs, "listening_seconds": math.fsum(seconds)}
        case "song":
            return {"plays": len(events), "unique_users": users, "mean_seconds": math.fsum(seconds) / len(events)}
        case "event_type":
            return {"total_events": len(events), "unique_users": users}
        case _:
            return {
                "total_events": len(events),
                "active_users": users,
                "unique_songs": songs,
                "listening_seconds": math.fsum(seconds),
                "longest_seconds": max(seconds),
            }


def messages(path: Path, *, again: float, largest: int = 40, seed: int = 0) -> Iterable[bytes]:
    """Return a log as messages of 1 to `largest` lines in random order; `again` is the share of repeated events."""
    rng = random.Random(seed)
    lines = path.read_bytes().splitlines()
    lines += rng.sample(lines, int(len(lines) * again))
    rng.shuffle(lines)
    packed, start = [], 0
    while start < len(lines):
        size = rng.randint(1, largest)
        packed.append(b"\n".join(lines[start : start + size]))
        start += size
    return packed
