"""The verdict on an event and its findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import astuple

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


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event to store. Creating a struct takes a fifth of the time of a named tuple.

    Attributes:
        row_key, qualifier, micros: the cell that holds the event; see `CellKey`.
        value: the canonical event, as JSON.
        warnings: findings of severity "warn".
    """

    row_key: bytes
    qualifier: bytes
    micros: int
    value: bytes
    warnings: tuple[Finding, ...] = ()

    @property
    def cell_key(self) -> CellKey:
        """The cell that holds the event."""
        return CellKey(self.row_key, self.qualifier, self.micros)


class AcceptedColumns(NamedTuple):
    """The attributes of several events, as columns."""

    row_keys: Sequence[bytes]
    qualifiers: Sequence[bytes]
    micros: Sequence[int]
    values: Sequence[bytes]
    warnings: Sequence[tuple[Finding, ...]]

    @classmethod
    def of(cls, events: Sequence[Accepted]) -> AcceptedColumns:
        """Return the columns of events."""
        return cls(*zip(*map(astuple, events), strict=True)) if events else cls((), (), (), (), ())

    @classmethod
    def of_verdicts(cls, verdicts: Sequence[Verdict]) -> AcceptedColumns:
        """Return the columns of the accepted events among verdicts."""
        return cls.of([verdict for verdict in verdicts if type(verdict) is Accepted])

    def events(self) -> list[Accepted]:
        """Return the events."""
        return list(map(Accepted, *self))

    def cell_keys(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield the cell key of each event."""
        return zip(self.row_keys, self.qualifiers, self.micros, strict=True)


class Rejected(NamedTuple):
    """A rejected event: its bytes as received, and all findings."""

    raw: bytes
    findings: list[Finding]


Verdict = Accepted | Rejected


class StoredFindings(msgspec.Struct, frozen=True, array_like=True):
    """The findings beside a stored event.

    Attributes:
        event: CRC-32 of the event; findings of an earlier event with the same cell key don't match it.
        findings: of its `warn` checks.
    """

    event: int
    findings: Sequence[Finding]
