"""Paths into a received record as text: keys joined by dots, quoted where a key contains dots. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A quoted key, in which "" stands for one quote, or a key without dots.
_KEY = re.compile(r'"((?:[^"]|"")*)"(?=\.|$)|([^."][^.]*)')


def split_path(text: str) -> tuple[str, ...] | None:
    """Return the keys of a path such as `a."b.c".d`; None for an invalid one."""
    keys, at = [], 0
    while match := _KEY.match(text, at):
        keys.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        at = match.end() + 1
        if match.end() == len(text):
            return tuple(keys) if all(keys) else None
    return None


def join_path(keys: Sequence[str]) -> str:
    """Return the text of a path, as `split_path` reads it."""
    return ".".join(
        '"' + key.replace('"', '""') + '"' if "." in key or key.startswith('"') or not key else key for key in keys
    )
