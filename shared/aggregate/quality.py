"""The data quality of a day: events stored, with warnings, repeated and rejected. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import msgspec

from shared.aggregate.rollup import ValueMeasures
from shared.contracts.model import RESERVED_DIMENSION
from shared.validation.results import StoredFindings

_decode_findings = msgspec.json.Decoder(StoredFindings).decode


@dataclass(slots=True)
class Quality:
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
    warned: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    large_rows: int = 0

    @property
    def share_rejected(self) -> float:
        """Rejected events as a share of all events; 0 if there are none."""
        return self.rejected / (self.stored + self.rejected) if self.rejected else 0.0

    @property
    def too_many_rejected(self) -> bool:
        """Whether the share of rejected events exceeds the contract's `max_rejected`."""
        return self.max_rejected is not None and self.share_rejected > self.max_rejected

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
