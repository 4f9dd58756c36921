"""A day too large for any table here: rows as the reader yields them, made on the way, and a sink that counts.

    python -m tests.support.large_day EVENTS USERS

aggregates it under the music contract and prints, as JSON, what came out and what memory that took.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from shared import row_keys
from shared.aggregate.pipeline import AggregatePipeline, Summary
from shared.bigtable.bigtable_pb2 import MutateRowsRequest
from shared.bigtable.client import AGGREGATES, EVENTS
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.bigtable.row_merger import Row
from shared.config import DEFAULT_CONTRACT
from shared.contracts.loader import load_contract

DAY = date(2024, 1, 15)
SONGS = 5_000
_TYPES = (b"click", b"song_play", b"page_view", b"search", b"like")


class LargeDay:
    """Stands in for `Bigtable`: every user has equally many events, and what is written is counted and let go.

    Attributes:
        read_rows: that were asked for so far.
        written: rows by dimension.
        figures: of dimensions with few values.
    """

    def __init__(self, events: int, users: int) -> None:
        self.each = events // users
        self.read_rows = 0
        self.written: Counter[str] = Counter()
        self.figures: dict[str, Any] = {}
        self._users = [array("I") for _ in range(row_keys.SHARDS)]
        for user in range(users):
            self._users[crc32(_name(user)) % row_keys.SHARDS].append(user)

    async def read_batches(self, table: str, scan: Scan) -> AsyncIterator[list[Row]]:
        """Yield what a scan of a shard of the events finds."""
        assert table == EVENTS
        ((prefix, _),) = scan.ranges
        users = iter(self._users[int(prefix[:2], 16)])
        while some := list(islice(users, 16)):
            self.read_rows += len(some)
            await asyncio.sleep(0)  # as an answer of the server comes
            yield [self._row(prefix, user) for user in some]

    async def read(self, table: str, scan: Scan) -> AsyncIterator[Row]:
        """Find nothing in the other tables."""
        return
        yield

    async def row(self, table: str, key: bytes) -> Row | None:
        """Find nothing."""
        return None

    async def write(self, table: str, mutations: Mutations) -> None:
        """Count rows."""
        await asyncio.sleep(0)
        if table != AGGREGATES:
            return
        for entry in MutateRowsRequest.FromString(b"".join(entry.wire for entry in mutations.entries())).entries:
            dimension, _, value = entry.row_key.decode().split("#")
            self.written[dimension] += 1
            if dimension in ("all", "event_type", "quality"):
                cells = (mutation.set_cell for mutation in entry.mutations)
                self.figures[f"{dimension} {value}"] = {
                    cell.column_qualifier.decode(): msgspec.json.decode(cell.value) for cell in cells
                }

    def _row(self, prefix: bytes, user: int) -> Row:
        name, count = _name(user), self.each
        numbers = range(user * count, user * count + count)
        values = [
            b'{"event_id":"evt_%012d","timestamp":"2024-01-15T10:00:00.000Z","event_type":"%s","artist":"Ox & Ember",'
            b'"duration":%d.5,"device":"web","user_id":"%s","song_id":"song_%05d"}'
            % (number, _TYPES[number % 5], number % 400, name, number * 2_654_435_761 % 2**32 % SONGS)
            for number in numbers
        ]
        qualifiers = [b"%011d#evt_%012d" % (number, number) for number in numbers]
        return Row(prefix + name, ["e"] * count, qualifiers, [0] * count, values, [()] * count)


def _name(user: int) -> bytes:
    return b"user_%07d" % user


async def aggregate(day: LargeDay) -> Summary:
    """Aggregate it under the music contract."""
    return await AggregatePipeline(day, load_contract(DEFAULT_CONTRACT)).run(DAY)  # type: ignore[arg-type]


def _peaks() -> tuple[float, float]:
    """Return the most memory that this process and the one it began have had, in MiB, hardly at the same time.

    What `getrusage` says of this one may be of the process that began it (Linux: exec keeps it).
    """
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(own.split()[1]) / 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Aggregate a day of so many events and users."""
    day = LargeDay(*map(int, sys.argv[1:3]))
    started = time.perf_counter()
    summary = asyncio.run(aggregate(day))
    outcome = {
        "events": summary.events,
        "rows": dict(day.written),
        "figures": day.figures,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mib": round(sum(_peaks()), 1),
    }
    print(msgspec.json.encode(outcome).decode())


if __name__ == "__main__":
    main()
