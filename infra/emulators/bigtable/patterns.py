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

    A set of RE2 reports no positions and takes a third of the time. It contains the pattern and one for any text: if
    neither matches, its automaton has exceeded its memory, and the pattern itself decides. So it does if it is too
    large for a set.

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
    index = pattern_set.Add(pattern)
    pattern_set.Add(rb"\C*")
    try:
        pattern_set.Compile()
    except re2.error:
        return lambda text: fullmatch(text) is not None
    set_match = pattern_set.Match
    return lambda text: index in matching if (matching := set_match(text)) else fullmatch(text) is not None
