"""How deep JSON is nested, found out without going there. Pure.

Decoders recurse and give up at a depth of their own: msgspec at about 1,000 levels under Python 3.11, at 10,000 under
3.13. A verdict must not be a matter of the runtime, so the bound is ours, and is looked for without recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Levels of arrays and objects. Events have under ten; every decoder manages a hundred, deep in a server's stack too.
MAX_NESTING_DEPTH = 100

# A string, or what opens, closes or separates. Possessive: a string without an end is read once and not tried again.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_OPENING, _CLOSING, _COMMA, _QUOTE = b"[{", b"]}", 0x2C, 0x22


def too_deep(data: bytes) -> bool:
    """Return whether JSON has more than `MAX_NESTING_DEPTH` levels; of what isn't JSON the answer says nothing."""
    # What has fewer brackets than that can't be deeper, and two counts cost less than any reading.
    if data.count(b"{") + data.count(b"[") <= MAX_NESTING_DEPTH:
        return False
    return any(depth > MAX_NESTING_DEPTH for _, depth in _structure(data))


def elements(data: bytes, *, most: int) -> list[bytes] | None:
    """Return the first elements of a JSON array as they stand, however deep; None if it isn't laid out as an array."""
    found: list[bytes] = []
    start, depth, end = 1, 0, 0
    for end, depth in _structure(data):
        if depth == 0 or (depth == 1 and data[end] == _COMMA):
            found.append(data[start:end].strip())
            start = end + 1
            if len(found) == most:
                return found
        if depth <= 0:
            break
    whole = data.startswith(b"[") and depth == 0 and not data[end + 1 :].strip()
    return found if whole and all(found) else None


def _structure(data: bytes) -> Iterator[tuple[int, int]]:
    """Return the place of each bracket and comma outside of strings, and the depth behind it."""
    depth = 0
    for token in _TOKENS.finditer(data):
        what = data[token.start()]
        if what == _QUOTE:
            continue
        depth += (what in _OPENING) - (what in _CLOSING)
        yield token.start(), depth
