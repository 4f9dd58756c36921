"""A generated web log in the format of the real one, for machines without the real one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

_USERS, _SONGS, _SESSIONS = 40, 60, 25
_PAGES = ("Home", "Settings", "Logout")  # other than NextSong, the page of five in six events
_DAY = 86_400_000  # milliseconds


def write(folder: Path, days: Iterable[date], seed: int = 1) -> None:
    """Write a file of JSON lines per day, such as `2018-11-05-events.json`; the same seed gives the same files."""
    chance = random.Random(seed)
    for day in days:
        sessions = [_session(chance, day, number) for number in range(_SESSIONS)]
        records = sorted((record for session in sessions for record in session), key=lambda record: record["ts"])
        lines = "".join(f"{json.dumps(record)}\n" for record in records)
        (folder / f"{day}-events.json").write_text(lines, "utf-8")


def _session(chance: random.Random, day: date, number: int) -> list[dict[str, Any]]:
    """Return the records of one visitor; some visitors aren't logged in and have an empty userId."""
    user = chance.randrange(_USERS) if chance.random() < 0.9 else None
    began = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    times = sorted(began + chance.randrange(_DAY) for _ in range(chance.randint(1, 20)))
    return [
        {
            **_page(chance, logged_in=user is not None),
            "auth": "Logged Out" if user is None else "Logged In",
            "firstName": None if user is None else f"First {user}",
            "gender": None if user is None else "FM"[user % 2],
            "itemInSession": item,
            "lastName": None if user is None else f"Last {user}",
            "level": "paid" if user is not None and user % 3 == 0 else "free",
            "location": None if user is None else "Philadelphia-Camden-Wilmington, PA-NJ-DE-MD",
            "registration": None if user is None else 1541044398796.0 + user,
            "sessionId": day.toordinal() * _SESSIONS + number,
            "status": 200,
            "ts": time,
            "userAgent": None if user is None else '"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4)"',
            "userId": "" if user is None else str(user),
        }
        for item, time in enumerate(times)
    ]


def _page(chance: random.Random, *, logged_in: bool) -> dict[str, Any]:
    if not logged_in or chance.random() < 1 / 6:
        return {"page": chance.choice(_PAGES), "method": "GET", "song": None, "artist": None, "length": None}
    song = chance.randrange(_SONGS)
    length = round(chance.uniform(30, 600), 5)
    return {
        "page": "NextSong",
        "method": "PUT",
        "song": f"Song {song}",
        "artist": f"Artist {song % 9}",
        "length": length,
    }
