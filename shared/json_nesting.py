"""Measure the nesting of JSON without recursion. Pure.

Decoders recurse and have different limits: msgspec fails at about 1,000 levels under Python 3.11 and at 10,000 under
3.13. A verdict must not depend on the runtime, so this module has a fixed limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Levels of arrays and objects. Events have under ten, and every decoder supports a hundred, also deep in a call stack.
MAX_NESTING_DEPTH = 100

# A string, a bracket or a comma. Possessive quantifiers read an unterminated string once, without backtracking.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_OPENING, _CLOSING, _COMMA, _QUOTE = b"[{", b"]}", 0x2C, 0x22


def too_deep(data: bytes) -> bool:
    """Return whether JSON has more than `MAX_NESTING_DEPTH` levels; the result is arbitrary for other data."""
    # The number of brackets bounds the depth, and counting is faster than scanning tokens.
    if data.count(b"{") + data.count(b"[") <= MAX_NESTING_DEPTH:
        return False
    return any(depth > MAX_NESTING_DEPTH for _, depth in _structure(data))


def elements(data: bytes, *, most: int) -> list[bytes] | None:
    """Return the text of the first `most` elements of a JSON array of any depth; None if the data isn't an array."""
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
    """Yield the index of each bracket and comma outside of strings, and the depth after it."""
    depth = 0
    for token in _TOKENS.finditer(data):
        character = data[token.start()]
        if character == _QUOTE:
            continue
        depth += (character in _OPENING) - (character in _CLOSING)
        yield token.start(), depth
