"""The counts of validated events, and a limited number of verdicts to show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

from infra.batch.report import Report
from infra.console.text import shown
from shared.contracts.model import Severity
from shared.timestamps import EPOCH
from shared.validation.results import Accepted, Finding, Verdict

MAX_SHOWN = 20  # verdicts of each outcome
_MAX_GROUPS = 1_000  # rules and fields that are counted: an event can name many unknown fields
_MAX_FINDINGS = 30

Outcome = Literal["rejected", "accepted with warnings", "accepted"]
_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class CellText(NamedTuple):
    """The cell that an accepted event would get."""

    row_key: str
    qualifier: str
    timestamp: datetime


class Example(NamedTuple):
    """One validated event.

    Attributes:
        json: the canonical event, or the bytes of a rejected one.
        cell: None for a rejected event.
        more_findings: the number of findings beside `findings`.
    """

    source: str
    outcome: Outcome
    json: str
    cell: CellText | None
    findings: list[Finding]
    more_findings: int


@dataclass(slots=True)
class Outcomes:
    """The outcomes of the validation of many events.

    Attributes:
        counts: events by outcome.
        groups: events by the rule, the field and the severity of their findings.
        examples: the first events of each outcome, the rejected ones first.
        report: counts the events that were read, and the pieces that can't be read.
        is_complete: False if the validation ended at its time limit.
        problem: the reason why nothing more could be read; empty without one.
    """

    counts: Counter[Outcome] = field(default_factory=Counter)
    groups: Counter[tuple[str, str, Severity]] = field(default_factory=Counter)
    examples: dict[Outcome, list[Example]] = field(default_factory=lambda: {outcome: [] for outcome in _OUTCOMES})
    report: Report = field(default_factory=Report)
    is_complete: bool = True
    problem: str = ""

    @property
    def total(self) -> int:
        """The number of validated events."""
        return self.counts.total()

    @property
    def left_out(self) -> int:
        """The number of validated events that `examples` lacks."""
        return self.total - sum(map(len, self.examples.values()))

    def add(self, source: str, raw: bytes, verdict: Verdict) -> None:
        """Count the verdict on an event."""
        findings = verdict.warnings if isinstance(verdict, Accepted) else verdict.findings
        outcome: Outcome = "rejected"
        if isinstance(verdict, Accepted):
            outcome = "accepted with warnings" if findings else "accepted"
        self.counts[outcome] += 1
        for key in dict.fromkeys((each.rule, each.field, each.severity) for each in findings):
            if key in self.groups or len(self.groups) < _MAX_GROUPS:
                self.groups[key] += 1
        if self.counts[outcome] <= MAX_SHOWN:
            cell = _cell_text(verdict) if isinstance(verdict, Accepted) else None
            json = shown(verdict.value if isinstance(verdict, Accepted) else raw)
            more = max(len(findings) - _MAX_FINDINGS, 0)
            self.examples[outcome].append(Example(source, outcome, json, cell, list(findings[:_MAX_FINDINGS]), more))


def _cell_text(verdict: Accepted) -> CellText:
    key = verdict.cell_key
    return CellText(shown(key.row_key), shown(key.qualifier), EPOCH + timedelta(microseconds=key.micros))
