"""Count back what is stored: a measurement that lost or doubled an event is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from shared import row_keys
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.read_rows import Filter, Scan
from shared.config import Settings
from tests.bench.results import Wrong


def expect_events(settings: Settings, ids: Iterable[str]) -> None:
    """Hold the table `events` to the ids that were sent: each in one cell, and nothing else; Wrong if it isn't so."""
    found = asyncio.run(_cells(settings, EVENTS, "e"))
    compare([qualifier[12:].decode() for qualifier in found], ids)


def expect_rows(settings: Settings, table: str, ids: Iterable[str]) -> None:
    """Hold a table of a row an event, whose keys end in `#` and the id, to the ids that were sent."""
    compare([key.rpartition(b"#")[2].decode() for key in asyncio.run(_rows(settings, table))], ids)


def compare(found: list[str], ids: Iterable[str]) -> None:
    """Hold what was found to what was sent; Wrong if something is lost or doubled."""
    distinct, sent = set(found), set(ids)
    if lost := sent - distinct:
        raise Wrong(f"{len(lost):,} of {len(sent):,} events are lost, such as {min(lost)}")
    if len(found) != len(sent):
        raise Wrong(f"{len(found):,} are stored of {len(sent):,} events")


async def _cells(settings: Settings, table: str, family: str) -> list[bytes]:
    """Return the qualifiers of all cells of a family."""
    bigtable = Bigtable(settings)
    only = Filter()
    only.chain.filters.extend([Filter(family_name_regex_filter=family), Filter(strip_value_transformer=True)])
    found: list[bytes] = []

    async def read(prefix: bytes) -> None:
        async for row in bigtable.read(table, Scan.prefix(prefix, filter=only)):
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
