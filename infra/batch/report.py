"""What became of a set of events: the figures that `run`, `check` and `ingest` report, as JSON and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.errors import SourceError
from shared.validation.results import Finding, rules_broken


@dataclass(slots=True)
class Example:
    """One event that broke a rule, to show."""

    source: str
    finding: Finding


@dataclass(slots=True)
class Report:
    """The figures.

    Attributes:
        published: events handed in, those that came twice counted twice.
        stored: different events now stored.
        rejected: for each rule how many different events broke it.
        rejected_events: different events in quarantine.
        warned: for each rule how many events were stored although they broke it.
        unreadable: pieces of files that were no event at all, as "file:line: problem".
        days: for each day its events and different users.
    """

    published: int = 0
    stored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_events: int = 0
    warned: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    unreadable_count: int = 0
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    examples: dict[str, Example] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def duplicates(self) -> int:
        """Events that were there already, or came more than once."""
        return self.published - self.stored - self.rejected_events

    def reject(self, findings: Iterable[Finding], source: str) -> None:
        """Count a rejected event, once under each rule it broke."""
        findings = list(findings)
        self.rejected_events += 1
        self.rejected.update(rules_broken(findings))
        for finding in findings:
            if finding.severity == "reject":
                self.examples.setdefault(finding.rule, Example(source, finding))

    def cannot_read(self, source: str, line: int, problem: str) -> None:
        """Count a piece of a file that is no event; the first twenty are kept to be shown."""
        self.unreadable_count += 1
        if len(self.unreadable) < 20:
            self.unreadable.append(f"{source}:{line}: {problem}")

    def as_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return {
            "published": self.published,
            "stored": self.stored,
            "rejected": dict(sorted(self.rejected.items())),
            "rejected_events": self.rejected_events,
            "duplicates": self.duplicates,
            "unreadable": self.unreadable_count,
            "days": {
                day.isoformat(): {"events": events, "users": users}
                for day, (events, users) in sorted(self.days.items())
            },
            "seconds": {part: round(seconds, 3) for part, seconds in self.seconds.items()},
        }

    def save(self, path: Path) -> None:
        """Write the figures to a JSON file; SourceError if that can't be done."""
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(self.as_json())) + b"\n")
        except OSError as error:
            raise SourceError(f"{path}: the report can't be written: {error.strerror}") from None

    def show(self, console: Console, *, verb: str = "published") -> None:
        """Print the figures for a person."""
        console.print(
            f"[bold]{self.published:,}[/] events {verb}: [bold green]{self.stored:,}[/] stored, "
            f"[bold red]{self.rejected_events:,}[/] rejected, [bold]{self.duplicates:,}[/] duplicates"
        )
        if self.rejected:
            table = Table("rule", "events", "for example", title="Rejected, by rule", title_justify="left")
            for rule, count in self.rejected.most_common():
                table.add_row(rule, f"{count:,}", Text(describe(self.examples[rule]) if rule in self.examples else ""))
            console.print(table)
        for text in self.unreadable:
            console.print(f"unreadable: {text}", markup=False, style="yellow")
        if self.unreadable_count > len(self.unreadable):
            console.print(f"... and {self.unreadable_count - len(self.unreadable):,} more that can't be read")
        if self.days:
            days = sorted(self.days)
            busiest = max(days, key=lambda day: self.days[day][0])
            events, users = self.days[busiest]
            console.print(
                f"{len(days)} day{'s' if len(days) > 1 else ''}, {days[0]} to {days[-1]}; "
                f"the busiest is {busiest} with {events:,} events of {users:,} users"
            )


def describe(example: Example) -> str:
    """Return one line that says what was wrong with an event."""
    finding = example.finding
    what = f"{finding.field}: " if finding.field else ""
    return printable(f"{what}found {finding.found}, expected {finding.expected} ({example.source})")


def printable(text: str) -> str:
    """Return text with everything escaped that a terminal could take for a command."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
