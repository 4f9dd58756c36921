"""The table `rejected`: what failed a check, byte for byte as it came, with everything that was wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from typing import Any

import msgspec

from shared import row_keys
from shared.bigtable.client import REJECTED, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Filter, Scan, prefix_end
from shared.timestamps import EPOCH
from shared.validation.results import Finding, Rejected, rules_broken

FAMILY = "r"

_findings = msgspec.json.Decoder(list[Finding])


class RejectedEvent(msgspec.Struct, frozen=True):
    """A rejected event.

    Attributes:
        row_key: its row.
        raw: its bytes as they came.
        findings: all that is wrong with it.
        source: the Pub/Sub message, or the file and line, that it came in.
        published: when that was first published, RFC 3339.
    """

    row_key: bytes
    raw: bytes
    findings: list[Finding]
    source: str
    published: str

    @property
    def rules(self) -> list[str]:
        """The rules it broke, each once, in the order of their names; those that only warn are left out."""
        return sorted(rules_broken(self.findings))


class RejectedTable:
    """Keeps rejected events and shows them."""

    def __init__(self, bigtable: Bigtable) -> None:
        self._bigtable = bigtable

    async def store(self, rejected: Iterable[Rejected], published: datetime, source: str) -> None:
        """Keep rejected events that were published then and came from there; the same bytes again change nothing."""
        mutations = Mutations()
        # The same bytes may come in another message of that day: with the day as their time they replace themselves.
        micros = (published.date() - EPOCH.date()).days * 86_400_000_000
        for event in rejected:
            row_key = row_keys.rejected_row(event.raw, published.date())
            for qualifier, value in (
                (b"raw", event.raw),
                (b"findings", msgspec.json.encode(event.findings)),
                (b"source", source.encode("utf-8", "surrogatepass")),
                (b"published", published.isoformat().encode()),
            ):
                mutations.set_cell(row_key, FAMILY, qualifier, micros, value)
        await self._bigtable.write(REJECTED, mutations)

    async def count(self, day: date) -> tuple[int, Counter[str]]:
        """Return how many events published on a day were rejected, and how many of them broke each rule."""
        only_findings = Filter()
        only_findings.chain.filters.add(column_qualifier_regex_filter=b"findings")
        only_findings.chain.filters.add(cells_per_column_limit_filter=1)
        events, rules = 0, Counter[str]()
        async for row in self._bigtable.read(REJECTED, _scan(day, only_findings)):
            events += 1
            rules.update(rules_broken(_findings.decode(row.cells[0].value)))
        return events, rules

    async def of_day(self, day: date | None, *, rule: str | None = None) -> AsyncIterator[RejectedEvent]:
        """Iterate over the events rejected of those published on a day, on any day if it is None.

        Args:
            day: of first publication.
            rule: only events that broke it.
        """
        async for row in self._bigtable.read(REJECTED, _scan(day, Filter(cells_per_column_limit_filter=1))):
            cells = {cell.qualifier: cell.value for cell in row.cells}
            event = RejectedEvent(
                row_key=row.key,
                raw=cells.get(b"raw", b""),
                findings=_findings.decode(cells.get(b"findings", b"[]")),
                source=cells.get(b"source", b"").decode("utf-8", "replace"),
                published=cells.get(b"published", b"").decode(),
            )
            if rule is None or rule in event.rules:
                yield event


def _scan(day: date | None, filter: Any) -> Scan:
    prefixes = row_keys.all_shards() if day is None else row_keys.shard_prefixes(day)
    ranges = [(prefix, prefix_end(prefix)) for prefix in prefixes]
    return Scan(ranges=ranges, filter=filter)
