"""Read the names of fields: their words, and what these say about an event's time, user and id. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from infra.contracts.inference import vocabulary
from infra.contracts.inference.columns import Path

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")


@cache
def words_of(key: str) -> tuple[str, ...]:
    """Return the words of a key in lower case: `itemInSession` has item, in and session."""
    words: list[str] = []
    for word in _WORD.findall(key):
        words += vocabulary.COMPOUNDS.get(word.lower(), (word.lower(),))
    return tuple(words)


def time_score(path: Path) -> float | None:
    """Return how likely a path is that of the event's time, None for a name that has nothing to do with time."""
    words = words_of(path[-1])
    scores = [vocabulary.TIME_WORDS[word] for word in words if word in vocabulary.TIME_WORDS]
    if not scores:
        return None
    return max(scores) - sum(vocabulary.OTHER_TIMES.get(word, 0) for word in words) - 2 * (len(path) - 1)


def is_named_as_time(path: Path) -> bool:
    """Return whether a name says that numbers are times."""
    return time_score(path) is not None or any(word in vocabulary.OTHER_TIMES for word in words_of(path[-1]))


def user_score(path: Path) -> float | None:
    """Return how likely a path is that of the event's user, None for a name that names no person or machine."""
    words = [word for key in path for word in words_of(key)]
    last = words[-1] if words else ""
    if last not in vocabulary.IDENTITY_WORDS and vocabulary.USER_WORDS.get(last, 0) < vocabulary.LEAST_ALONE:
        return None
    scores = [vocabulary.USER_WORDS[word] for word in words if word in vocabulary.USER_WORDS]
    if not scores or any(word in vocabulary.OTHER_ENDS for word in words):
        return None
    return max(scores) + vocabulary.IDENTITY_WORDS.get(last, 1.5) - (len(path) - 1) / 2


def id_score(path: Path) -> float | None:
    """Return how likely a path is that of the event's own id, None for a name that isn't that of an id."""
    words = words_of(path[-1])
    if not words or words[-1] not in vocabulary.ID_ENDS:
        return None
    weights: list[float] = [vocabulary.EVENT_WORDS.get(word, -2) for word in words[:-1]] or [5]
    about = max(weights[-1], *(weight / 2 for weight in weights))  # a message_bus_id is less likely than a message_id
    return about + vocabulary.ID_ENDS[words[-1]] - 2 * (len(path) - 1)


def is_id(path: Path) -> bool:
    """Return whether a path names an id, of whatever it is."""
    words = words_of(path[-1])
    return bool(words) and words[-1] in vocabulary.ID_ENDS


def part_score(path: Path) -> float | None:
    """Return how well a path serves as a part of a composed id, None if it doesn't."""
    words = words_of(path[-1])
    if not words:
        return None
    if words[-1] in vocabulary.ID_ENDS:
        score = 4.0
    elif any(word in vocabulary.SEQUENCE_WORDS for word in words):
        score = 3.5
    elif words[-1] in vocabulary.KIND_WORDS:
        score = 1.0
    else:
        return None
    return score - (len(path) - 1) / 2


def counts_events(path: Path) -> bool:
    """Return whether a path names events, or numbers them within something else, such as `itemInSession`."""
    words = words_of(path[-1])
    return any(word in vocabulary.SEQUENCE_WORDS for word in words) or (
        bool(words) and words[-1] in vocabulary.ID_ENDS and any(word in vocabulary.EVENT_WORDS for word in words[:-1])
    )


def kind_score(path: Path) -> float:
    """Return how likely a path is that of the kind of an event, such as `event_type` or `page`; 0 for other names."""
    words = words_of(path[-1])
    weight = vocabulary.KIND_WORDS.get(words[-1], 0) if words else 0
    return (
        weight if all(word in vocabulary.KIND_WORDS for word in words) else weight / 2
    )  # a user_type isn't an event_type


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
