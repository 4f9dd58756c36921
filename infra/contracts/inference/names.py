"""Read the names of fields: their words, and what these say about an event's time, user and id. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from infra.contracts.inference.columns import Path

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")

# Compound words without a capital or an underscore between their parts.
_COMPOUNDS = {
    "userid": ("user", "id"),
    "username": ("user", "name"),
    "customerid": ("customer", "id"),
    "eventid": ("event", "id"),
    "sessionid": ("session", "id"),
    "requestid": ("request", "id"),
    "messageid": ("message", "id"),
    "orderid": ("order", "id"),
    "tripid": ("trip", "id"),
    "clientip": ("client", "ip"),
    "remoteip": ("remote", "ip"),
    "useragent": ("user", "agent"),
    "datetime": ("datetime",),
    "mtime": ("modified", "time"),
    "createdat": ("created", "at"),
    "eventtime": ("event", "time"),
}

# How much a word says that a time is the time of the event.
_TIME_WORDS = {
    "timestamp": 10,
    "ts": 9,
    "time": 9,
    "datetime": 9,
    "occurred": 9,
    "happened": 9,
    "date": 7,
    "when": 7,
    "created": 7,
    "at": 6,
    "started": 6,
    "start": 6,
    "day": 5,
    "pickup": 5,
    "modified": 4,
    "epoch": 6,
    "datum": 7,
    "fecha": 7,
}
# Words of other times: of the copy of an event, or of things that the event only mentions.
_OTHER_TIMES = {
    "synced": 8,
    "sync": 8,
    "loaded": 8,
    "load": 8,
    "processing": 6,
    "processed": 6,
    "ingested": 6,
    "ingestion": 6,
    "received": 4,
    "updated": 4,
    "end": 3,
    "ended": 3,
    "expires": 8,
    "expiry": 8,
    "birth": 8,
    "registration": 8,
    "registered": 8,
    "joined": 6,
    "due": 6,
}

# How much a word says that a value identifies the user of an event.
_USER_WORDS = {
    "user": 10,
    "distinct": 9,
    "visitor": 9,
    "customer": 8,
    "member": 8,
    "person": 8,
    "profile": 8,
    "player": 8,
    "subscriber": 8,
    "reviewer": 8,
    "actor": 8,
    "author": 7,
    "rider": 7,
    "passenger": 7,
    "patient": 7,
    "student": 7,
    "employee": 7,
    "login": 7,
    "anonymous": 6,
    "account": 6,
    "client": 6,
    "email": 6,
    "sender": 6,
    "driver": 5,
    "device": 5,
    "remote": 4,
    "src": 4,
    "source": 2,
    "orig": 4,
    "origin": 3,
    "ip": 3,
    "host": 3,
    "hostname": 3,
    "session": 2,
    "vendor": 2,
    "sensor": 3,
    "node": 3,
    "machine": 3,
}
_LEAST_ALONE = 3  # weight of a word that needs no "id" behind it
# Words that end the name of an identity, and how well the value identifies.
_IDENTITY_WORDS = {
    "id": 2,
    "uid": 2,
    "uuid": 2,
    "guid": 2,
    "key": 1,
    "number": 1,
    "no": 1,
    "name": 0.5,
    "login": 1,
    "email": 1,
    "ip": 1,
    "addr": 1,
    "address": 0.5,
    "host": 0.5,
    "h": 0.5,
    "hash": 0.5,
}
_OTHER_ENDS = {"dst", "dest", "destination", "resp", "response", "server", "receiver"}

# How much a word before "id" says that the value identifies one event.
_EVENT_WORDS = {
    "event": 8,
    "insert": 7,
    "message": 7,
    "request": 6,
    "audit": 7,
    "record": 6,
    "rsvp": 6,
    "transaction": 6,
    "trip": 6,
    "order": 5,
    "log": 6,
    "row": 5,
    "trace": 3,
    "span": 5,
    "document": 4,
    "payment": 6,
}
_ID_ENDS = {"id": 4, "uuid": 6, "guid": 6, "uid": 5, "key": 2, "hash": 2, "checksum": 2}
# Words of numbers that count within something else, such as the items of a session.
_SEQUENCE_WORDS = {
    "item",
    "seq",
    "sequence",
    "index",
    "idx",
    "line",
    "offset",
    "position",
    "number",
    "no",
    "row",
    "step",
}
_KIND_WORDS = {
    "event": 8,
    "action": 7,
    "activity": 6,
    "type": 6,
    "kind": 6,
    "operation": 5,
    "page": 4,
    "category": 3,
    "name": 2,
    "verb": 2,
    "method": 2,
}


@cache
def words_of(key: str) -> tuple[str, ...]:
    """Return the words of a key in lower case: `itemInSession` has item, in and session."""
    words: list[str] = []
    for word in _WORD.findall(key):
        words += _COMPOUNDS.get(word.lower(), (word.lower(),))
    return tuple(words)


def time_score(path: Path) -> float | None:
    """Return how likely a path is that of the event's time, None for a name that has nothing to do with time."""
    words = words_of(path[-1])
    scores = [_TIME_WORDS[word] for word in words if word in _TIME_WORDS]
    if not scores:
        return None
    return max(scores) - sum(_OTHER_TIMES.get(word, 0) for word in words) - 2 * (len(path) - 1)


def is_named_as_time(path: Path) -> bool:
    """Return whether a name says that numbers are times."""
    return time_score(path) is not None or any(word in _OTHER_TIMES for word in words_of(path[-1]))


def user_score(path: Path) -> float | None:
    """Return how likely a path is that of the event's user, None for a name that names no person or machine."""
    words = [word for key in path for word in words_of(key)]
    last = words[-1] if words else ""
    if last not in _IDENTITY_WORDS and _USER_WORDS.get(last, 0) < _LEAST_ALONE:
        return None
    scores = [_USER_WORDS[word] for word in words if word in _USER_WORDS]
    if not scores or any(word in _OTHER_ENDS for word in words):
        return None
    return max(scores) + _IDENTITY_WORDS.get(last, 1.5) - (len(path) - 1) / 2


def id_score(path: Path) -> float | None:
    """Return how likely a path is that of the event's own id, None for a name that isn't that of an id."""
    words = words_of(path[-1])
    if not words or words[-1] not in _ID_ENDS:
        return None
    weights: list[float] = [_EVENT_WORDS.get(word, -2) for word in words[:-1]] or [5]
    about = max(weights[-1], *(weight / 2 for weight in weights))  # a message_bus_id is less likely than a message_id
    return about + _ID_ENDS[words[-1]] - 2 * (len(path) - 1)


def is_id(path: Path) -> bool:
    """Return whether a path names an id, of whatever it is."""
    words = words_of(path[-1])
    return bool(words) and words[-1] in _ID_ENDS


def part_score(path: Path) -> float | None:
    """Return how well a path serves as a part of a composed id, None if it doesn't."""
    words = words_of(path[-1])
    if not words:
        return None
    if words[-1] in _ID_ENDS:
        score = 4.0
    elif any(word in _SEQUENCE_WORDS for word in words):
        score = 3.5
    elif words[-1] in _KIND_WORDS:
        score = 1.0
    else:
        return None
    return score - (len(path) - 1) / 2


def counts_events(path: Path) -> bool:
    """Return whether a path names events, or numbers them within something else, such as `itemInSession`."""
    words = words_of(path[-1])
    return any(word in _SEQUENCE_WORDS for word in words) or (
        bool(words) and words[-1] in _ID_ENDS and any(word in _EVENT_WORDS for word in words[:-1])
    )


def kind_score(path: Path) -> float:
    """Return how likely a path is that of the kind of an event, such as `event_type` or `page`; 0 for other names."""
    words = words_of(path[-1])
    weight = _KIND_WORDS.get(words[-1], 0) if words else 0
    return weight if all(word in _KIND_WORDS for word in words) else weight / 2  # a user_type isn't an event_type


def field_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for the field of each path: its last key if no other path has the same, else all its keys."""
    last = [_identifier(path[-1]) for path in paths]
    used: set[str] = set()
    names = []
    for path, short in zip(paths, last, strict=True):
        name = short if last.count(short) == 1 or len(path) == 1 else _identifier("_".join(path))
        unique, number = name, 2
        while unique in used:
            unique, number = f"{name}_{number}", number + 1
        used.add(unique)
        names.append(unique)
    return names


def _identifier(text: str) -> str:
    """Return text as a name of letters, digits and underscores that doesn't begin with one."""
    return re.sub(r"\W+", "_", text).strip("_") or "field"
