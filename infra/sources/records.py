"""A record of a source file, or the place where there is none that can be read."""

from __future__ import annotations

from typing import NamedTuple

# Bytes kept of what can't be read: enough to recognise it.
MAX_QUOTED_CHARS = 4096


class Record(NamedTuple):
    """One event as it will travel.

    Attributes:
        raw: JSON text of one value on one line, without the newline.
        source: the file's name as the user gave it; "stdin" for standard input.
        line: where it starts, from 1; the ordinal of the value, from 1, in a JSON array or in pretty-printed JSON.
    """

    raw: bytes
    source: str
    line: int


class Unreadable(NamedTuple):
    """A piece of a file that can't be read as a row or value.

    Attributes:
        source: the file's name as the user gave it.
        line: as in a `Record`.
        problem: what was found and what was expected, for a person.
        raw: the bytes concerned, at most `MAX_QUOTED_CHARS` of them.
    """

    source: str
    line: int
    problem: str
    raw: bytes
