"""The table `rejected`: rejected events as their original bytes, with all their findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from shared import row_keys
from shared.bigtable.client import REJECTED, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan, prefix_end
from shared.timestamps import EPOCH, utc
from shared.validation.results import Finding, Rejected, rules_broken

FAMILY = "r"

_findings = msgspec.json.Decoder(list[Finding])
_encode = msgspec.json.Encoder().encode


class RejectedEvent(msgspec.Struct, frozen=True):
    """A rejected event.

    Attributes:
        row_key: its row.
        raw: its original bytes.
        findings: all of its findings.
        source: id of its Pub/Sub message, or its file and line.
        published: when its message was first published, RFC 3339.
    """

    row_key: bytes
    raw: bytes
    findings: list[Finding]
    source: str
    published: str

    @property
    def rules(self) -> list[str]:
        """Names of the broken rules, sorted; rules that only warn are excluded."""
        return sorted(rules_broken(self.findings))

    @property
    def publish_time(self) -> datetime:
        """The time of `published`, in UTC."""
        return utc(datetime.fromisoformat(self.published))


class RejectedTable:
    """Writes and reads rejected events."""

    def __init__(self, bigtable: Bigtable) -> None:
        self._bigtable = bigtable

    async def store(self, rejected: Sequence[Rejected], published: datetime, source: str) -> None:
        """Write rejected events; identical bytes published on the same day overwrite the same row.

        Identical events of one call are written once.

        Args:
            rejected: the events.
            published: when their message was first published.
            source: id of their Pub/Sub message, or their file and line.
        """
        mutations = Mutations()
        rejected = list({event.raw: event for event in rejected}.values())
        # The cell's timestamp is the day, so the same bytes in another message of the day replace the cell.
        micros = (published.date() - EPOCH.date()).days * 86_400_000_000
        keys = [row_keys.rejected_row(event.raw, published.date()) for event in rejected]
        # A column of cells in one call takes a fifth of the time of a call per cell.
        for qualifier, values in (
            (b"raw", [event.raw for event in rejected]),
            (b"findings", [_encode(event.findings) for event in rejected]),
            (b"source", [source.encode("utf-8", "surrogatepass")] * len(keys)),
            (b"published", [published.isoformat().encode()] * len(keys)),
        ):
            mutations.set_cells(FAMILY, [(key, qualifier, micros) for key in keys], values)
        await self._bigtable.write(REJECTED, mutations)

    async def count(self, day: date) -> tuple[int, Counter[str]]:
        """Return the number of rejected events that were published on a day, and the number per broken rule."""
        from shared.bigtable.bigtable_pb2 import RowFilter as Filter  # late: see `wire_format`

        only_findings = Filter()
        only_findings.chain.filters.add(column_qualifier_regex_filter=b"findings")
        only_findings.chain.filters.add(cells_per_column_limit_filter=1)
        events, rules = 0, Counter[str]()
        async for row in self._bigtable.read(REJECTED, _scan(day, only_findings)):
            events += 1
            rules.update(rules_broken(_findings.decode(row.cells[0].value)))
        return events, rules

    async def of_day(
        self, day: date | None, *, rule: str | None = None, after: bytes | None = None
    ) -> AsyncGenerator[RejectedEvent]:
        """Yield the rejected events that were published on a day, in the order of their row keys.

        Args:
            day: of first publication; None for all days.
            rule: only events that broke it.
            after: only the rows after this key.
        """
        from shared.bigtable.bigtable_pb2 import RowFilter as Filter  # late: see `wire_format`

        scan = _scan(day, Filter(cells_per_column_limit_filter=1))
        remaining = scan if after is None else scan.after(after, 0)
        if remaining is None:
            return
        async for row in self._bigtable.read(REJECTED, remaining):
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
