"""What can be wrong with an event, by name, and how one such thing is told."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from shared.contracts.model import Severity
from shared.row_keys import CellKey

Rule = Literal[
    "not_json",
    "not_an_object",
    "too_large",
    "required",
    "null",
    "type",
    "range",
    "length",
    "pattern",
    "one_of",
    "future",
    "too_old",
    "unknown_field",
    "duplicate",
]

# Characters of a value that a finding quotes: enough to recognise it, little enough to keep a million of them.
MAX_QUOTED_CHARS = 80


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with an event.

    Attributes:
        field: the contract's name for it; empty for what concerns the event as a whole.
        found: what was there, shortened.
        expected: what should have been there.
        severity: "warn" if the event is stored all the same.
    """

    rule: Rule
    field: str
    found: str
    expected: str
    severity: Severity = "reject"


def rules_broken(findings: list[Finding]) -> set[str]:
    """Return the rules for which an event is rejected."""
    return {finding.rule for finding in findings if finding.severity == "reject"}


def quote(value: Any) -> str:
    """Return a value as a finding shows it: as JSON, cut after `MAX_QUOTED_CHARS` characters, all but ASCII escaped."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    text = json.dumps(value[: MAX_QUOTED_CHARS + 1] if isinstance(value, str) else value)
    return text if len(text) <= MAX_QUOTED_CHARS else text[: MAX_QUOTED_CHARS - 3] + "..."


class Accepted(NamedTuple):
    """An event to store.

    Attributes:
        value: the canonical event, as JSON.
        warnings: what `warn` checks found.
    """

    cell_key: CellKey
    value: bytes
    warnings: tuple[Finding, ...]


class Rejected(NamedTuple):
    """An event for quarantine: its bytes as they came, and everything that is wrong with it."""

    raw: bytes
    findings: list[Finding]


Verdict = Accepted | Rejected
