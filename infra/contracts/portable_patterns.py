"""Translate patterns from RE2's syntax to that of JSON Schema, ECMA-262. Pure."""

from __future__ import annotations

import re

# In RE2, \s is ASCII and a dot is everything but a newline; in ECMA-262 they aren't.
_SPACE = r"\t\n\f\r "
_OUTSIDE = {".": r"[^\n]", r"\s": f"[{_SPACE}]", r"\S": f"[^{_SPACE}]", r"\A": "^", r"\z": "$"}
_INSIDE = {r"\s": _SPACE}
_SAME = {r"\d", r"\D", r"\w", r"\W", r"\n", r"\r", r"\t", r"\f", r"\v"}
_SYNTAX = frozenset("^$\\.*+?()[]{}|/")

_TOKEN = re.compile(
    r"""(?sx)
    (?P<escape>\\.)
    | (?P<class>\[\^?\]?(?:\\.|\[(?!:)|[^\]\\\[])*\])
    | (?P<group>\((?:\?:|\?P?<\w+>|(?!\?)))
    | (?P<repeat>\{\d+(?:,\d*)?\}\??|[*+?]\??)
    | (?P<plain>[^\\\[\]{}()])
    | (?P<close>\))
    """
)


def portable_pattern(pattern: str) -> str | None:
    """Return the pattern of texts that match entirely in ECMA-262; None if RE2's syntax has no equivalent there."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        part = _translate(token) if token else None
        if token is None or part is None:
            return None
        parts.append(part)
        at = token.end()
    return f"^(?:{''.join(parts)})$"


def _translate(token: re.Match[str]) -> str | None:
    text = token[0]
    match token.lastgroup:
        case "escape":
            return _escape(text, _OUTSIDE)
        case "class":
            return _class(text)
        case "group":
            return "(?:"
        case "plain":
            return _OUTSIDE.get(text, text)
        case _:
            return text


def _escape(text: str, special: dict[str, str]) -> str | None:
    """Return the equivalent of a backslash and a character."""
    if text in special:
        return special[text]
    if text in _SAME:
        return text
    if text[1].isalnum():
        return None
    return text if text[1] in _SYNTAX else text[1]


def _class(text: str) -> str | None:
    """Return the equivalent of a character class."""
    start = "[^" if text.startswith("[^") else "["
    parts = []
    for part in re.findall(r"(?s)\\.|.", text[len(start) : -1]):
        if part[0] == "\\":
            translated = r"\-" if part == r"\-" else _escape(part, _INSIDE)
            if translated is None:
                return None
            parts.append(translated)
        else:
            parts.append(f"\\{part}" if part in "[]^" else part)
    return f"{start}{''.join(parts)}]"
