"""The verdict on an event and its findings."""

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

# Characters of a value that a finding quotes: enough to recognise the value, and a million findings fit in memory.
MAX_QUOTED_CHARS = 80


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule that an event breaks.

    Attributes:
        field: name of the field in the contract; empty where the finding concerns the whole event.
        found: the value found, shortened.
        expected: the values that the rule allows.
        severity: "reject", or "warn" where the event is stored with the finding.
    """

    rule: Rule
    field: str
    found: str
    expected: str
    severity: Severity = "reject"


def rules_broken(findings: list[Finding]) -> set[str]:
    """Return the rules of the findings that reject an event."""
    return {finding.rule for finding in findings if finding.severity == "reject"}


def quote(value: Any) -> str:
    """Return a value as ASCII JSON of at most `MAX_QUOTED_CHARS` characters, for a finding."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    text = json.dumps(value[: MAX_QUOTED_CHARS + 1] if isinstance(value, str) else value)
    return text if len(text) <= MAX_QUOTED_CHARS else text[: MAX_QUOTED_CHARS - 3] + "..."


class Accepted(NamedTuple):
    """An event to store.

    Attributes:
        cell_key: the cell that holds the event.
        value: the canonical event, as JSON.
        warnings: findings of severity "warn".
    """

    cell_key: CellKey
    value: bytes
    warnings: tuple[Finding, ...]


class Rejected(NamedTuple):
    """A rejected event: its bytes as received, and all findings."""

    raw: bytes
    findings: list[Finding]


Verdict = Accepted | Rejected
