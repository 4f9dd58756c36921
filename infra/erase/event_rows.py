"""Find the rows of users in `events`, of all days and of either bucket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import product

from infra.erase.skip_scan import days_under, gather_limited
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.read_rows import Scan
from shared.row_keys import shard_and_user
from shared.tables.events import FAMILY, FINDINGS
from shared.timestamps import format_day, parse_day

# Ranges of one request. A key has up to 4 KiB, so the request stays below the 4 MiB that gRPC accepts by default.
_RANGES_PER_READ = 500


@dataclass(slots=True)
class EventRows:
    """Rows of users.

    Attributes:
        keys: of the rows.
        days: that the rows belong to.
        events: number of events in them.
        findings: number of events with findings beside them.
    """

    keys: list[bytes] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    events: int = 0
    findings: int = 0


async def find_event_rows(bigtable: Bigtable, users: Iterable[str]) -> EventRows:
    """Return the rows of users; reads a row for each shard and day, and otherwise only rows of these users.

    Args:
        bigtable: the instance.
        users: as row keys have them, not encoded.
    """
    by_shard: defaultdict[str, list[str]] = defaultdict(list)
    for user in sorted(users):
        shard, encoded = shard_and_user(user)
        by_shard[shard].append(encoded)
    found = EventRows()
    for rows in await gather_limited(_of_shard(bigtable, shard, encoded) for shard, encoded in by_shard.items()):
        found.keys += rows.keys
        found.days |= rows.days
        found.events += rows.events
        found.findings += rows.findings
    return found


async def _of_shard(bigtable: Bigtable, shard: str, users: list[str]) -> EventRows:
    days = await days_under(bigtable, EVENTS, f"{shard}#".encode())
    keys = [f"{shard}#{format_day(day)}#{user}".encode() for day, user in product(days, users)]
    found = EventRows()
    for start in range(0, len(keys), _RANGES_PER_READ):
        # "$" follows "#", and both sort before every character of an encoded user. So a range has the row of the day
        # and the rows of its hours, and no row of another user.
        ranges = [(key, key + b"$") for key in keys[start : start + _RANGES_PER_READ]]
        async for row in bigtable.read(EVENTS, Scan(ranges=ranges, filter=Filter(strip_value_transformer=True))):
            found.keys.append(row.key)
            found.days.add(parse_day(row.key[3:11].decode()))
            found.events += row.families.count(FAMILY)
            found.findings += row.families.count(FINDINGS)
    return found
