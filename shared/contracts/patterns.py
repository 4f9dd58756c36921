"""Match text against the patterns of a contract with RE2, in time linear in the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile_pattern(pattern: str) -> Any:
    """Compile a pattern with RE2."""
    import re2  # imported here, because only contracts with patterns need it

    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def pattern_matcher(pattern: str) -> Callable[[str], bool]:
    """Return the function that says whether a whole text matches the pattern.

    It first matches a set that contains only this pattern. A set reports no positions and takes a fifth of the time,
    but its automaton fails where it exceeds its memory. So the pattern itself confirms every mismatch.
    """
    set_match, fullmatch = _compile_set(pattern).Match, compile_pattern(pattern).fullmatch

    return lambda text: bool(set_match(text) or fullmatch(text))


def _compile_set(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    pattern_set = re2.Set.FullMatchSet(options)
    pattern_set.Add(pattern)
    pattern_set.Compile()
    return pattern_set


def pattern_problem(pattern: str) -> str | None:
    """Return the reason why RE2 refuses the pattern, or None."""
    import re2

    try:
        compile_pattern(pattern)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0]
        return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(error)
    try:
        _compile_set(pattern)
    except re2.error:  # a set needs more memory than the pattern alone
        return "pattern too large for a set"
    return None
