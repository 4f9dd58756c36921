"""The report of `run`, `check`, `ingest` and `publish`: counts of events, as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shared.errors import SourceError
from shared.validation.results import Finding, rules_broken

if TYPE_CHECKING:
    from rich.console import Console

    from infra.batch.distinct import DistinctEvents, DistinctRows

_MAX_UNREADABLE_SHOWN = 20


@dataclass(slots=True)
class Example:
    """An event that broke a rule: its source and the finding."""

    source: str
    finding: Finding


@dataclass(slots=True)
class Report:
    """The counts of a set of events.

    Attributes:
        published: events published or read, duplicates included.
        stored: distinct events that are stored.
        rejected: distinct events that broke a rule, by rule.
        rejected_events: distinct events that are rejected.
        unreadable: the first pieces of files that can't be read, as "file:line: problem".
        unreadable_count: all pieces of files that can't be read.
        days: the number of events and of distinct users, by day.
        examples: the first rejected event of each rule.
        seconds: the time of each part of a run.
        estimated: whether the counts of distinct events are estimates, since there were too many to remember.
    """

    published: int = 0
    stored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_events: int = 0
    unreadable: list[str] = field(default_factory=list)
    unreadable_count: int = 0
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    examples: dict[str, Example] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    estimated: bool = False

    @property
    def duplicates(self) -> int:
        """The number of events that were stored or rejected before, or occur more than once."""
        return max(0, self.published - self.stored - self.rejected_events)

    def count_distinct(self, events: DistinctEvents, rejected: DistinctRows) -> None:
        """Set the number of distinct stored events, and whether it is an estimate."""
        self.stored = events.count
        self.estimated = events.estimated or rejected.estimated

    def reject(self, findings: Iterable[Finding], source: str) -> None:
        """Count a rejected event, once for each rule it broke."""
        findings = list(findings)
        self.rejected_events += 1
        self.rejected.update(rules_broken(findings))
        for finding in findings:
            if finding.severity == "reject":
                self.examples.setdefault(finding.rule, Example(source, finding))

    def add_unreadable(self, source: str, line: int, problem: str) -> None:
        """Count a piece of a file that can't be read, and keep the first of them to show."""
        self.unreadable_count += 1
        if len(self.unreadable) < _MAX_UNREADABLE_SHOWN:
            self.unreadable.append(f"{source}:{line}: {problem}")

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "published": self.published,
            "stored": self.stored,
            "rejected": dict(sorted(self.rejected.items())),
            "rejected_events": self.rejected_events,
            "duplicates": self.duplicates,
            "unreadable": self.unreadable_count,
            "estimated": self.estimated,
            "days": {
                day.isoformat(): {"events": events, "users": users}
                for day, (events, users) in sorted(self.days.items())
            },
            "seconds": {part: round(seconds, 3) for part, seconds in self.seconds.items()},
        }

    def save(self, path: Path) -> None:
        """Write the report to a JSON file.

        Raises:
            SourceError: the file can't be written.
        """
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(self.as_json())) + b"\n")
        except OSError as error:
            raise SourceError(f"{path}: the report can't be written: {error.strerror}") from None

    def show(self, console: Console, *, verb: str = "published") -> None:
        """Print the report; `verb` says what was done with the events."""
        from rich.table import Table
        from rich.text import Text

        about = "about " if self.estimated else ""
        console.print(
            f"[bold]{self.published:,}[/] events {verb}: {about}[bold green]{self.stored:,}[/] stored, "
            f"{about}[bold red]{self.rejected_events:,}[/] rejected, {about}[bold]{self.duplicates:,}[/] duplicates"
        )
        if self.rejected:
            table = Table("rule", "events", "for example", title="Rejected, by rule", title_justify="left")
            for rule, count in self.rejected.most_common():
                example = _describe(self.examples[rule]) if rule in self.examples else ""
                table.add_row(rule, f"{count:,}", Text(example))
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
                f"the busiest is {busiest} with {about}{events:,} events of {users:,} users"
            )


def _describe(example: Example) -> str:
    """Return the finding of an example on one line."""
    finding = example.finding
    what = f"{finding.field}: " if finding.field else ""
    return printable(f"{what}found {finding.found}, expected {finding.expected} ({example.source})")


def printable(text: str) -> str:
    """Return text with all non-printable characters escaped, so that it can't control the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def partial_text(day: date, until: datetime) -> str:
    """Return the text of a partial day: the time up to which its events are counted, with another day's date."""
    return f"partial, up to {until:%H:%M} UTC" if until.date() == day else f"partial, up to {until:%Y-%m-%d %H:%M} UTC"
