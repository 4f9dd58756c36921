"""What becomes of an event: stored, or kept apart. Pure."""

from __future__ import annotations

from typing import NamedTuple

from shared.findings import Finding
from shared.keys import Place


class Accepted(NamedTuple):
    """An event to store.

    Attributes:
        value: the canonical event, as JSON.
        warnings: what `warn` checks found.
    """

    place: Place
    value: bytes
    warnings: tuple[Finding, ...]


class Rejected(NamedTuple):
    """An event for quarantine: its bytes as they came, and everything that is wrong with it."""

    raw: bytes
    findings: list[Finding]


Verdict = Accepted | Rejected
