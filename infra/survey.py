"""Count what is in the tables, by reading them: the figures of `run` are found, not remembered."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from infra.report import Report
from shared.bigtable import EVENTS, Bigtable
from shared.keys import SHARDS, parse_day, user_of_row
from shared.quarantine import Quarantine
from shared.reader import Filter, Scan

_SCANS = 8


async def count_events(bigtable: Bigtable) -> dict[date, tuple[int, int]]:
    """Return for each day in the table `events` its events and different users."""
    events: dict[date, int] = defaultdict(int)
    users: dict[date, set[str]] = defaultdict(set)
    scans = asyncio.Semaphore(_SCANS)
    only_keys = Filter()
    only_keys.chain.filters.add(family_name_regex_filter="e")
    only_keys.chain.filters.add(strip_value_transformer=True)

    async def count(shard: int) -> None:
        async with scans:
            async for row in bigtable.read(EVENTS, Scan.prefix(f"{shard:02x}#".encode(), filter=only_keys)):
                day = parse_day(row.key[3:11].decode())
                events[day] += len(row.cells)
                users[day].add(user_of_row(row.key))

    await asyncio.gather(*(count(shard) for shard in range(SHARDS)))
    return {day: (events[day], len(users[day])) for day in sorted(events)}


async def count_rejected(bigtable: Bigtable, days: Iterable[date], report: Report) -> None:
    """Add to a report what is in quarantine of those days of publication."""
    quarantine = Quarantine(bigtable)
    for day in days:
        async for event in quarantine.of_day(day):
            report.reject(event.findings, f"message {event.source}")
