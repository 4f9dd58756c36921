"""Counts of a local stack: the sum of what its functions log, and the counts of its deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from infra.emulators.latency import is_bucket, latency_text
from infra.provision.resources import RESOURCES
from shared.runtime.logs import LogEvent

# Fields with a count in the summaries of `ingest`; every other field with a number is a rule.
_EVENT_COUNTS = ("messages", "stored", "rejected", "duplicate")
_LONGEST_LINE = 160
[_INGEST] = [each for each in RESOURCES.subscriptions if each.function == "ingest"]
[_DEAD_LETTERS] = [each for each in RESOURCES.subscriptions if each.topic == _INGEST.dead_letter]


@dataclass
class StackCounts:
    """Counts since the start of the stack.

    Attributes:
        events: messages, stored, rejected and duplicate.
        rules: rejected events by rule; an event counts under every rule that it breaks.
        deliveries: of messages to the functions: delivered, acknowledged, failed.
        latencies: of the messages of events, from their publication to their acknowledgement: see
            `infra.emulators.latency`.
        backlog: messages of events that aren't acknowledged now; None if unknown: Google's emulator doesn't count them.
        dead_letters: messages of events that are dead letters now; None if unknown.
        days: computed by `aggregate`; a day computed twice counts twice.
        problems: warnings and errors by severity, without summaries.
        last_problem: the latest of these log lines.
    """

    events: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    deliveries: Counter[str] = field(default_factory=Counter)
    latencies: Counter[str] = field(default_factory=Counter)
    backlog: int | None = None
    dead_letters: int | None = None
    days: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    last_problem: str = ""

    def lines(self) -> dict[str, str]:
        """Return a line of text for each part."""
        rules = ", ".join(f"{rule} {count:,}" for rule, count in self.rules.most_common())
        duplicates = f", {self.events['duplicate']:,} of them duplicates" if self.events["duplicate"] else ""
        texts = {
            "ingest": f"{self.events['messages']:,} messages: {self.events['stored']:,} events stored{duplicates}, "
            f"{self.events['rejected']:,} rejected" + (f" ({rules})" if rules else ""),
            "aggregate": f"days computed: {self.days:,}",
            "delivery": f"{self.deliveries['delivered']:,} messages delivered, {self.deliveries['failed']:,} failed",
        }
        if self.backlog is not None:
            texts["delivery"] += f", {self.backlog:,} waiting, {self.dead_letters:,} dead letters"
        if self.latencies:
            half, most = (latency_text(self.latencies, share) for share in (0.5, 0.95))
            texts["delivery"] += f"; half of them stored within {half}, 95 % within {most}"
        if self.problems:
            counts = ", ".join(f"{severity} {count:,}" for severity, count in sorted(self.problems.items()))
            texts["problems"] = f"{counts}; the latest: {self.last_problem}"
        return texts


class StackCountsReader:
    """Reads the counts of a stack from its logs, each line once."""

    def __init__(self, logs: Mapping[str, Path], stats: Path, project_id: str) -> None:
        """Prepare.

        Args:
            logs: the log files of the functions, by function.
            stats: the file of the counts of deliveries.
            project_id: of the stack.
        """
        self._logs = dict(logs)
        self._stats = stats
        self._prefix = f"projects/{project_id}/subscriptions/"
        self._offsets: Counter[str] = Counter()
        self._counts = StackCounts()

    def read(self) -> StackCounts:
        """Read the lines written since the last call, and return the counts so far."""
        for name, path in self._logs.items():
            for line in self._new_lines(name, path):
                self._count_line(name, line)
        with suppress(OSError, msgspec.DecodeError):  # there are no counts yet
            self._count_deliveries(msgspec.json.decode(self._stats.read_bytes(), type=dict[str, dict[str, int]]))
        return self._counts

    def _count_deliveries(self, counts: dict[str, dict[str, int]]) -> None:
        self._counts.deliveries = sum(map(Counter, counts.values()), Counter())
        ingest = counts.get(self._prefix + _INGEST.name, {})
        self._counts.latencies = Counter({name: count for name, count in ingest.items() if is_bucket(name)})
        self._counts.backlog = ingest.get("unacknowledged")
        if self._counts.backlog is not None:
            self._counts.dead_letters = counts.get(self._prefix + _DEAD_LETTERS.name, {}).get("unacknowledged", 0)

    def _new_lines(self, name: str, path: Path) -> list[bytes]:
        try:
            with path.open("rb") as file:
                file.seek(self._offsets[name])
                data = file.read()
        except OSError:
            return []
        complete = data[: data.rfind(b"\n") + 1]  # the last line may be incomplete
        self._offsets[name] += len(complete)
        return complete.splitlines()

    def _count_line(self, name: str, line: bytes) -> None:
        try:
            entry: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            return  # a line of the server, not of the function
        event, severity = entry.get("event"), entry.get("severity")
        if event == LogEvent.INGEST_SUMMARY:
            counts = Counter({key: value for key, value in entry.items() if type(value) is int})
            self._counts.events.update({key: counts.pop(key, 0) for key in _EVENT_COUNTS})
            self._counts.rules.update(counts)
            return
        if event == LogEvent.DAY_AGGREGATED:
            self._counts.days += 1
        if severity in ("WARNING", "ERROR"):
            self._counts.problems[severity] += 1 + entry.get("left_out", 0)
            self._counts.last_problem = f"{name}: {entry.get('message')}"[:_LONGEST_LINE]
