"""How good a day's events were: stored, warned of, repeated and rejected, and whether that is still all right. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.contracts.model import RESERVED_DIMENSION
from shared.validation.results import Finding

_findings = msgspec.json.Decoder(list[Finding])


@dataclass(slots=True)
class Quality:
    """The figures of one day.

    Attributes:
        stored: different events of that day.
        repeated: further cells with the id of one of them.
        warned: stored events by the `warn` rules they broke.
        rejected: events in quarantine that were published on that day; one of them may have no day of its own.
        rules: those by the rules they broke.
        max_rejected: the share that may be rejected, None for any.
    """

    max_rejected: float | None = None
    stored: int = 0
    repeated: int = 0
    warned: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    rules: Counter[str] = field(default_factory=Counter)

    @property
    def share_rejected(self) -> float:
        """Rejected events among all that came; 0 of none."""
        return self.rejected / (self.stored + self.rejected) if self.rejected else 0.0

    @property
    def too_many_rejected(self) -> bool:
        """Whether the contract says that somebody should look."""
        return self.max_rejected is not None and self.share_rejected > self.max_rejected

    def warn(self, findings: Iterable[bytes]) -> None:
        """Count what was found about stored events, as it is stored beside each."""
        for each in findings:
            self.warned.update({finding.rule for finding in _findings.decode(each)})

    def rows(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Return (dimension, value, figures): of all, and by rule what was warned of and what rejected."""
        figures: dict[str, Any] = {
            "stored": self.stored,
            "repeated_ids": self.repeated,
            "rejected": self.rejected,
            "share_rejected": self.share_rejected,
        }
        if self.max_rejected is not None:
            figures |= {"max_rejected": self.max_rejected, "too_many_rejected": self.too_many_rejected}
        yield RESERVED_DIMENSION, "all", figures
        if self.warned:
            yield RESERVED_DIMENSION, "warned", dict(self.warned)
        if self.rules:
            yield RESERVED_DIMENSION, "rejected", dict(self.rules)
