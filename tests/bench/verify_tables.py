"""Verification of what a run stored; a run that lost or duplicated an event has no result."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from shared import row_keys
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.read_rows import Scan
from shared.config import Settings
from tests.bench.results import MeasurementError


def verify_events(settings: Settings, ids: Iterable[str]) -> None:
    """Verify that `events` has exactly one cell for each id; MeasurementError otherwise."""
    found = asyncio.run(_cells(settings, EVENTS, "e"))
    compare_ids([qualifier[12:].decode() for qualifier in found], ids)


def verify_rows(settings: Settings, table: str, ids: Iterable[str]) -> None:
    """Verify that a table with keys of `...#<id>` has exactly one row for each id; MeasurementError otherwise."""
    compare_ids([key.rpartition(b"#")[2].decode() for key in asyncio.run(_rows(settings, table))], ids)


def compare_ids(found: list[str], ids: Iterable[str]) -> None:
    """Compare the found ids with the sent ones; MeasurementError if any is missing or duplicated."""
    distinct, sent = set(found), set(ids)
    if lost := sent - distinct:
        raise MeasurementError(f"{len(lost):,} of {len(sent):,} events are missing, such as {min(lost)}")
    if len(found) != len(sent):
        raise MeasurementError(f"found {len(found):,} events, expected {len(sent):,}")


async def _cells(settings: Settings, table: str, family: str) -> list[bytes]:
    """Return the qualifiers of all cells of a family."""
    bigtable = Bigtable(settings)
    filter = Filter()
    filter.chain.filters.extend([Filter(family_name_regex_filter=family), Filter(strip_value_transformer=True)])
    found: list[bytes] = []

    async def read(prefix: bytes) -> None:
        async for row in bigtable.read(table, Scan.prefix(prefix, filter=filter)):
            found.extend(cell.qualifier for cell in row.cells)

    await asyncio.gather(*map(read, row_keys.all_shards()))
    await bigtable.close()
    return found


async def _rows(settings: Settings, table: str) -> list[bytes]:
    """Return the keys of all rows."""
    bigtable = Bigtable(settings)
    scan = Scan(ranges=[(b"", b"\xff")], filter=Filter(strip_value_transformer=True))
    found = [row.key async for row in bigtable.read(table, scan)]
    await bigtable.close()
    return found
