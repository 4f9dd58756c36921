"""The events of the benchmark: of the shipped music contract, about 200 bytes each, the same in every run."""

from __future__ import annotations

import base64
import csv
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from shared.pubsub.message import CONTENT_TYPE, LINES

DAY = date(2024, 1, 15)
NOON = datetime(2024, 1, 16, 12, tzinfo=UTC)  # the day after the events, so that none is in the future
USERS = 50_000
_TYPES = ("click", "song_play", "page_view", "search", "like")
_ARTISTS = tuple(f"Artist no. {number}" for number in range(500))
_DEVICES = ("web", "android", "ios")

encode = msgspec.json.Encoder().encode


def records(count: int, *, users: int = USERS, day: date = DAY, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield valid events of one day as a producer makes them; the field `device` is in no contract."""
    dice = random.Random(seed)
    for event_id in ids(count, day=day):
        seconds, millis = divmod(dice.randrange(86_400_000), 1_000)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{millis:03d}"
        song = int(5_000 * dice.random() ** 2)  # some songs are played far more often than others
        yield {
            "event_id": event_id,
            "userId": f"user_{dice.randrange(users):07d}",
            "timestamp": f"{day}T{clock}Z",
            "event_type": dice.choice(_TYPES),
            "songId": f"song_{song:05d}",
            "artist": _ARTISTS[song % 500],
            "duration": round(dice.random() * 400, 1),
            "device": dice.choice(_DEVICES),
        }


def ids(count: int, *, day: date = DAY) -> Iterator[str]:
    """Yield the ids of the events of `records`."""
    return map(f"evt_{day:%Y%m%d}_{{:09d}}".format, range(count))


def lines(count: int, **options: Any) -> Iterator[bytes]:
    """Yield events as JSON without newlines; `options` are those of `records`."""
    return map(encode, records(count, **options))


def write_json_lines(path: Path, count: int, **options: Any) -> Path:
    """Write events as JSON lines; `options` are those of `records`."""
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines(count, **options))
    return path


def write_csv(path: Path, count: int, **options: Any) -> Path:
    """Write events as CSV; `options` are those of `records`."""
    with path.open("w", newline="") as file:
        events = records(count, **options)
        first = next(events)
        writer = csv.DictWriter(file, list(first))
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(events)
    return path


def posts(events: Iterable[bytes], *, packed: int = 1) -> Iterator[bytes]:
    """Yield the bodies of pushes of messages with `packed` events, as `sluice publish` packs them."""
    events = iter(events)
    attributes = {CONTENT_TYPE: LINES} if packed > 1 else {}
    number = 0
    while batch := list(islice(events, packed)):
        message = {
            "data": base64.b64encode(b"\n".join(batch)).decode(),
            "attributes": attributes,
            "messageId": str(number),
            "publishTime": f"{DAY}T23:59:59.999Z",
        }
        yield msgspec.json.encode({"message": message, "subscription": "projects/bench/subscriptions/bench"})
        number += 1
