"""The mark of a pipeline on the resources that it made. Resources without it are neither changed nor deleted.

Topics, subscriptions, functions and alerts have labels. Bigtable's tables have none: an empty column family, which is
created in the same call as the table, marks them. Jobs, accounts and metrics have a phrase in their description.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LABEL = "sluice"

_FAMILY = re.compile(rf"{LABEL}-([a-z0-9-]+)")
_PHRASE = re.compile(rf"\({LABEL}=([a-z0-9-]+)\)")


def phrase(name: str) -> str:
    """Return the mark of a pipeline in a text."""
    return f"({LABEL}={name})"


def marked_text(text: str, name: str) -> str:
    """Return a text with the mark of a pipeline at its end."""
    return f"{text} {phrase(name)}"


def family(name: str) -> str:
    """Return the column family that marks the tables of a pipeline."""
    return f"{LABEL}-{name}"


def owner_in_text(text: str) -> str | None:
    """Return the pipeline whose mark a text has, if any."""
    found = _PHRASE.search(text)
    return found[1] if found else None


def owner_in_families(families: Iterable[str]) -> str | None:
    """Return the pipeline whose mark a table has, if any, by its column families."""
    return next((found[1] for each in families if (found := _FAMILY.fullmatch(each))), None)
