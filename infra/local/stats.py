"""What a local stack has done so far, added up from what its functions log and its relay counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from shared.runtime.logs import LogEvent

# Of the summary lines of `ingest`: these are figures, what else has a number is a rule.
_KINDS = ("messages", "stored", "rejected", "duplicate")
_LONGEST_LINE = 160


@dataclass
class LiveStats:
    """The same figures that the functions log.

    Attributes:
        events: messages, stored, rejected and duplicate, since the stack started.
        rules: rejected events by rule, each under every rule it broke.
        deliveries: of the relay: delivered, failed, handed back.
        days: computed by `aggregate`, each as often as it was.
        problems: log lines by severity, but for the summaries.
        last: the last of these lines.
    """

    events: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    deliveries: Counter[str] = field(default_factory=Counter)
    days: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    last: str = ""

    def lines(self) -> dict[str, str]:
        """Return a line for each part."""
        rules = ", ".join(f"{rule} {count:,}" for rule, count in self.rules.most_common())
        duplicates = f", {self.events['duplicate']:,} of them again" if self.events["duplicate"] else ""
        texts = {
            "ingest": f"{self.events['messages']:,} messages: {self.events['stored']:,} events stored{duplicates}, "
            f"{self.events['rejected']:,} rejected" + (f" ({rules})" if rules else ""),
            "aggregate": f"days computed: {self.days:,}",
            "relay": f"{self.deliveries['delivered']:,} messages delivered, {self.deliveries['failed']:,} not taken",
        }
        if self.problems:
            counts = ", ".join(f"{severity} {count:,}" for severity, count in sorted(self.problems.items()))
            texts["problems"] = f"{counts}; the last: {self.last}"
        return texts


class Follower:
    """Reads on in the logs of a stack each time it is asked."""

    def __init__(self, logs: Mapping[str, Path], stats: Path) -> None:
        self._logs = dict(logs)
        self._stats = stats
        self._read: Counter[str] = Counter()
        self._figures = LiveStats()

    def look(self) -> LiveStats:
        """Return the figures as they are now; what isn't written down yet isn't in them."""
        for name, path in self._logs.items():
            for line in self._new_lines(name, path):
                self._take(name, line)
        try:
            counts = msgspec.json.decode(self._stats.read_bytes(), type=dict[str, dict[str, int]])
            self._figures.deliveries = sum(map(Counter, counts.values()), Counter())
        except (OSError, msgspec.DecodeError):
            pass  # the relay hasn't counted anything yet
        return self._figures

    def _new_lines(self, name: str, path: Path) -> list[bytes]:
        try:
            with path.open("rb") as file:
                file.seek(self._read[name])
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]  # the rest is being written
        self._read[name] += len(whole)
        return whole.splitlines()

    def _take(self, name: str, line: bytes) -> None:
        try:
            entry: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            return  # not ours: a server's own words
        event, severity = entry.get("event"), entry.get("severity")
        if event == LogEvent.INGEST_SUMMARY:
            counts = Counter({key: value for key, value in entry.items() if type(value) is int})
            self._figures.events.update({kind: counts.pop(kind, 0) for kind in _KINDS})
            self._figures.rules.update(counts)
            return
        if event == LogEvent.DAY_AGGREGATED:
            self._figures.days += 1
        if severity in ("WARNING", "ERROR"):
            self._figures.problems[severity] += 1 + entry.get("left_out", 0)
            self._figures.last = f"{name}: {entry.get('message')}"[:_LONGEST_LINE]
