"""Regular expressions of row filters: RE2's syntax, raw bytes, full matches."""

from __future__ import annotations

import re
from collections.abc import Callable

import re2

from infra.emulators.errors import invalid

_LITERAL = re.compile(rb"[^\\^$.|?*+()\[\]{}]*")


def literal(pattern: bytes) -> bytes | None:
    """Return the only text that a pattern matches if the pattern has no special character, else None."""
    return pattern if _LITERAL.fullmatch(pattern) else None


def compile_pattern(field: str, pattern: bytes) -> Callable[[bytes], bool]:
    """Return the function that says whether a whole text matches the pattern.

    It first matches a set that contains only this pattern. A set reports no positions and takes a third of the time,
    but its automaton fails where it exceeds its memory. So the pattern itself confirms every mismatch.

    Raises:
        ApiError: RE2 refuses the pattern; the text names `field`.
    """
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    try:
        fullmatch = re2.compile(pattern, options).fullmatch
    except re2.error as error:
        reason = error.args[0].decode("latin-1")
        raise invalid(f"{field}: found {pattern!r}, expected a pattern of RE2: {reason}") from error
    pattern_set = re2.Set.FullMatchSet(options)
    pattern_set.Add(pattern)
    pattern_set.Compile()
    set_match = pattern_set.Match
    return lambda text: bool(set_match(text) or fullmatch(text))
