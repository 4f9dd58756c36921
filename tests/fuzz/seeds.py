"""Write the fuzzer's first inputs: `python tests/fuzz/seeds.py DIRECTORY`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.fuzz.invariants import AS_BODY, AS_LINES, LENIENT  # noqa: E402
from tests.support import hostile, samples  # noqa: E402

# The fuzzer mutates larger inputs too slowly.
MAX_SEED_BYTES = 4_096

EVERYTHING: dict[str, Any] = {
    "type": " Push ",
    "n": 7.0,
    "meta": {"tag": "a:b#c", "more": {"deep": "yes"}, "other": [1]},
    "actor": {"id": -7, "login": "ann"},
    "at": 1_705_314_600_123_456,
    "s": 1_705_314_600.25,
    "ms": 1_705_314_600_123,
    "w": "15/01/2024 10:30:00 +0100",
    "b": "Mon Jan 15 015 10:30 AM 24",
    "r": "2024-01-15T10:30:00.123456789+01:00",
    "x": 1e-5,
    "l": 300,
    "f": True,
    "u": "ß",
    "a": [1, {"b": None}],
    "o": {"c": "d"},
}
SPARKIFY = {
    "sessionId": 139,
    "itemInSession": 0,
    "userId": "8",
    "ts": 1_541_106_106_796,
    "page": "NextSong",
    "song": "You Gotta Be",
    "artist": "Des'ree",
    "length": 246.30812,
    "level": "free",
    "gender": "F",
    "status": 200,
    "registration": 1.541016707796e12,
    "userAgent": '"Mozilla/5.0"',
}


def seeds() -> Iterator[bytes]:
    """Yield valid events of every contract, variations of them, and the hostile messages."""
    only_known_fields = EVERYTHING | {
        "meta": {"tag": "t", "more": {"deep": "yes"}},
        "actor": {"id": 7},
    }
    events = [samples.music_event(1, extra={"a": [1]}), SPARKIFY, only_known_fields, *[EVERYTHING] * 5]
    for which, event in enumerate(events):
        raw = json.dumps(event).encode()
        for flags in (0, AS_LINES, LENIENT):
            yield bytes([which | flags]) + raw
        yield bytes([which | AS_LINES]) + raw + b"\n" + raw
        yield bytes([which]) + hostile.array(raw, b"1", raw)
        yield bytes([which]) + hostile.zipped(raw)
        for key, value in event.items():
            for other in (None, "", 0, -1, 1.5, 10**19, 1e18, True, [], {}, "x", "\0#\ud83d\ude00", ...):
                if other is not value and which < 4:
                    changed = {name: old for name, old in event.items() if name != key}
                    changed |= {} if other is ... else {key: other}
                    yield bytes([which]) + json.dumps(changed).encode()
    sample = (ROOT / "data" / "sample_events.json").read_bytes().splitlines()
    yield from (b"\0" + event for event in sample[:40])
    for case in hostile.CASES:
        if "MB" in case.name or "MiB" in case.name or "GiB" in case.name or "100,000" in case.name:
            continue
        body = case.body()
        message = body.get("message") if isinstance(body, dict) else None
        yield bytes([AS_BODY]) + json.dumps(body).encode()
        if isinstance(message, dict) and isinstance(message.get("data"), str):
            yield b"\0" + hostile.content_of(body)


def main(directory: Path) -> None:
    """Write the different seeds of up to `MAX_SEED_BYTES`."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(sorted({seed for seed in seeds() if len(seed) <= MAX_SEED_BYTES})):
        (directory / f"{number:04d}").write_bytes(seed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
