"""The data quality of a day: events stored, with warnings, repeated and rejected. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from zlib import crc32

import msgspec

from shared.aggregate.rollup import ValueMeasures
from shared.bigtable.row_merger import Row
from shared.contracts.model import RESERVED_DIMENSION
from shared.tables.events import LargeRow, large_rows
from shared.tables.user_events import deduplicate
from shared.validation.results import StoredFindings

_decode_findings = msgspec.json.Decoder(StoredFindings).decode


class Quality(msgspec.Struct):
    """The quality counts of one day.

    Attributes:
        stored: number of distinct events of the day.
        repeated: number of further cells with the id of one of these events.
        warned: number of stored events by the `warn` rule that they violate.
        rejected: number of rejected events published on the day, including events without a valid day of their own.
        rules: number of rejected events by the rule that they violate.
        large_rows: number of rows of `events` that near the size that Bigtable can't read.
        max_rejected: largest share of rejected events without a warning; None for any.
    """

    max_rejected: float | None = None
    stored: int = 0
    repeated: int = 0
    warned: Counter[str] = msgspec.field(default_factory=Counter)
    rejected: int = 0
    rules: Counter[str] = msgspec.field(default_factory=Counter)
    large_rows: int = 0

    @property
    def share_rejected(self) -> float:
        """Rejected events as a share of all events; 0 if there are none."""
        return self.rejected / (self.stored + self.rejected) if self.rejected else 0.0

    @property
    def too_many_rejected(self) -> bool:
        """Whether the share of rejected events exceeds the contract's `max_rejected`."""
        return self.max_rejected is not None and self.share_rejected > self.max_rejected

    def count_users(
        self, users: Iterable[list[Row]], report: Callable[[LargeRow], None] | None = None
    ) -> list[list[bytes]]:
        """Count the stored and repeated events of users and their findings; return the events that count of each.

        Args:
            users: for each user all rows of the day.
            report: called with each large row.
        """
        counted: list[list[bytes]] = []
        for rows in users:
            events, findings, repeated = deduplicate(rows)
            counted.append(events)
            self.stored += len(events)
            self.repeated += repeated
            self.count_warnings(findings)
            for large in large_rows(rows):
                self.large_rows += 1
                if report:
                    report(large)
        return counted

    def merge(self, other: Quality) -> None:
        """Add the counts of other events of the day."""
        self.stored += other.stored
        self.repeated += other.repeated
        self.warned += other.warned
        self.rejected += other.rejected
        self.rules += other.rules
        self.large_rows += other.large_rows

    def count_warnings(self, events: Iterable[tuple[bytes, bytes]]) -> None:
        """Count the findings of stored events, each given as the event and the JSON stored beside it.

        Findings of an earlier event with the same cell key are left out.
        """
        for event, stored in events:
            findings = _decode_findings(stored)
            if findings.event == crc32(event):
                self.warned.update({finding.rule for finding in findings.findings})

    def rows(self) -> Iterator[ValueMeasures]:
        """Return the measures of the whole day, then warnings and rejections by rule."""
        measures: dict[str, Any] = {
            "stored": self.stored,
            "repeated_ids": self.repeated,
            "rejected": self.rejected,
            "share_rejected": self.share_rejected,
        }
        if self.max_rejected is not None:
            measures |= {"max_rejected": self.max_rejected, "too_many_rejected": self.too_many_rejected}
        if self.large_rows:
            measures["large_rows"] = self.large_rows
        yield ValueMeasures(RESERVED_DIMENSION, "all", measures, {})
        if self.warned:
            yield ValueMeasures(RESERVED_DIMENSION, "warned", dict(self.warned), {})
        if self.rules:
            yield ValueMeasures(RESERVED_DIMENSION, "rejected", dict(self.rules), {})
