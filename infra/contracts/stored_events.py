"""Validate the stored events of days against another contract, as a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.bigtable.client import Bigtable
from shared.bigtable.row_merger import Row
from shared.contracts.model import Contract
from shared.row_keys import CellKey, shard_prefixes, user_of_row
from shared.tables.events import FAMILY, EventsTable
from shared.validation.results import Finding, Rejected, rules_broken
from shared.validation.validator import Validator

_BATCH_SIZE = 1_000
_MAX_SAMPLES = 3  # events shown for each rule


@dataclass(frozen=True)
class FailingEvent:
    """A stored event that would be rejected now, with one of its findings."""

    user: str
    event: bytes
    finding: Finding


@dataclass
class StoredCheck:
    """What a contract would do with stored events.

    Attributes:
        events: validated.
        failing: events that would be rejected.
        rules: the failing events by rule; an event counts under each rule that it breaks.
        moved: events that would be stored in another cell.
        samples: the first failing events of each rule.
    """

    events: int = 0
    failing: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    moved: int = 0
    samples: dict[str, list[FailingEvent]] = field(default_factory=dict)

    def add(self, cells: Sequence[tuple[CellKey, bytes]], validator: Validator, now: datetime) -> None:
        """Count the cells of some events."""
        self.events += len(cells)
        verdicts = validator.validate_all([value for _, value in cells], now)
        for (key, value), verdict in zip(cells, verdicts, strict=True):
            if isinstance(verdict, Rejected):
                self._reject(key, value, verdict.findings)
            elif _place(verdict.cell_key, validator) != _place(key, validator):
                self.moved += 1

    def _reject(self, key: CellKey, value: bytes, findings: list[Finding]) -> None:
        self.failing += 1
        broken = rules_broken(findings)
        self.rules.update(broken)
        for finding in findings:
            samples = self.samples.setdefault(finding.rule, [])
            if finding.rule in broken and len(samples) < _MAX_SAMPLES:
                samples.append(FailingEvent(user_of_row(key.row_key), value, finding))

    def as_json(self) -> dict[str, Any]:
        """Return the counts and the samples as JSON values."""
        return {
            "events": self.events,
            "failing": self.failing,
            "rules": dict(sorted(self.rules.items())),
            "moved": self.moved,
            "samples": {
                rule: [
                    {
                        "user": each.user,
                        "finding": msgspec.to_builtins(each.finding),
                        "event": msgspec.json.decode(each.event),
                    }
                    for each in samples
                ]
                for rule, samples in sorted(self.samples.items())
            },
        }


def _place(key: CellKey, validator: Validator) -> tuple[bytes, bytes]:
    """Return the row and the qualifier of a cell, without a digest: that of the received record is unknown."""
    return key.row_key, key.qualifier if validator.contract.id else key.qualifier.partition(b"#")[0]


def of_stored_events(contract: Contract) -> Contract:
    """Return the contract for stored events: they are canonical, and the time of their publication is unknown."""
    canonical = contract.of_canonical_events()
    fields = (replace(each, max_future=None, max_age=None) for each in canonical.fields)
    return replace(canonical, fields=tuple(fields))


async def check_stored_events(bigtable: Bigtable, contract: Contract, days: Sequence[date]) -> StoredCheck:
    """Validate all stored events of some days against a contract, shard by shard.

    Args:
        bigtable: the connection.
        contract: the new contract.
        days: of the events.
    """
    table, validator, found = (
        EventsTable(bigtable, contract.bucket),
        Validator(of_stored_events(contract)),
        StoredCheck(),
    )
    now = datetime.now(UTC)
    for prefix in (prefix for day in days for prefix in shard_prefixes(day)):
        async for rows in table.of_shard(prefix):
            cells = [cell for row in rows for cell in _newest_cells(row)]
            for start in range(0, len(cells), _BATCH_SIZE):
                found.add(cells[start : start + _BATCH_SIZE], validator, now)
    return found


def _newest_cells(row: Row) -> Iterator[tuple[CellKey, bytes]]:
    """Yield the events of a row; of several versions of a cell, the newest is first."""
    last = None
    columns = zip(row.families, row.qualifiers, row.micros, row.values, strict=True)
    for family, qualifier, micros, value in columns:
        if family == FAMILY and qualifier != last:
            last = qualifier
            yield CellKey(row.key, qualifier, micros), value
