"""A generated day of any size: rows as read from Bigtable, and a sink that counts the rows written.

    python -m tests.support.large_day EVENTS USERS

aggregates the day under the music contract and prints the results and the peak memory as JSON.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
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
from shared.tables.run_writer import FAMILY

DAY = date(2024, 1, 15)
SONGS = 5_000
_TYPES = (b"click", b"song_play", b"page_view", b"search", b"like")


class LargeDay:
    """A substitute for `Bigtable` in which every user has the same number of events.

    Attributes:
        app_profile: empty for the default.
        rows_read: rows read so far.
        written: number of rows written, by dimension.
        measures: measures written for dimensions with few values.
    """

    app_profile = ""

    def __init__(self, events: int, users: int) -> None:
        self.each = events // users
        self.rows_read = 0
        self.written: Counter[str] = Counter()
        self.measures: dict[str, Any] = {}
        self._users = [array("I") for _ in range(row_keys.SHARDS)]
        for user in range(users):
            self._users[crc32(name_of(user)) % row_keys.SHARDS].append(user)

    async def read_batches(self, table: str, scan: Scan) -> AsyncIterator[list[Row]]:
        """Yield the rows of one shard of `events`."""
        assert table == EVENTS
        ((prefix, _),) = scan.ranges
        users = iter(self._users[int(prefix[:2], 16)])
        while batch := list(islice(users, 16)):
            self.rows_read += len(batch)
            await asyncio.sleep(0)  # like the wait for a response
            yield [self.row_of_user(prefix, user) for user in batch]

    async def read(self, table: str, scan: Scan) -> AsyncIterator[Row]:
        """Yield nothing: the other tables are empty."""
        return
        yield

    async def row(self, table: str, key: bytes) -> Row | None:
        """Return None: the other tables are empty."""
        return None

    async def write(self, table: str, mutations: Mutations) -> None:
        """Count the rows and keep measures of dimensions with few values."""
        await asyncio.sleep(0)
        if table != AGGREGATES:
            return
        self.count(MutateRowsRequest.FromString(b"".join(entry.wire for entry in mutations.entries())).entries)

    def count(self, entries: Iterable[Any]) -> None:
        """Count the rows of MutateRows entries and keep measures of dimensions with few values."""
        for entry in entries:
            dimension, _, value = entry.row_key.decode().split("#")
            self.written[dimension] += 1
            if dimension in ("all", "event_type", "quality"):
                cells = (each.set_cell for each in entry.mutations if each.set_cell.family_name == FAMILY)
                self.measures[f"{dimension} {value}"] = {
                    cell.column_qualifier.decode(): msgspec.json.decode(cell.value) for cell in cells
                }

    def users_between(self, start: bytes, end: bytes) -> tuple[bytes, Sequence[int]]:
        """Return the key prefix and the users of a key range within one shard."""
        users = self._users[int(start[:2], 16)]
        prefix = start[: start.rindex(b"#") + 1]
        first, last = (bisect_left(users, bound, key=lambda user: prefix + name_of(user)) for bound in (start, end))
        return prefix, users[first:last]

    def row_of_user(self, prefix: bytes, user: int) -> Row:
        """Return the row of a user."""
        name, count = name_of(user), self.each
        numbers = range(user * count, user * count + count)
        values = [
            b'{"event_id":"evt_%012d","timestamp":"2024-01-15T10:00:00.000Z","event_type":"%s","artist":"Ox & Ember",'
            b'"duration":%d.5,"device":"web","user_id":"%s","song_id":"song_%05d"}'
            % (number, _TYPES[number % 5], number % 400, name, number * 2_654_435_761 % 2**32 % SONGS)
            for number in numbers
        ]
        qualifiers = [b"%011d#evt_%012d" % (number, number) for number in numbers]
        return Row(prefix + name, ["e"] * count, qualifiers, [0] * count, values, [()] * count)


def name_of(user: int) -> bytes:
    return b"user_%07d" % user


async def aggregate(day: LargeDay) -> Summary:
    """Aggregate the day under the music contract."""
    return await AggregatePipeline(day, load_contract(DEFAULT_CONTRACT)).run(DAY)  # type: ignore[arg-type]


def own_peak() -> float:
    """Return the peak memory of this process in MiB.

    It isn't from `getrusage`, because on Linux exec keeps the value of the parent process.
    """
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(own.split()[1]) / 1024


def _peaks() -> tuple[float, float]:
    """Return the peak memory of this process and of its child process in MiB; the peaks can be at different times."""
    return own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Aggregate a day with the given numbers of events and users."""
    day = LargeDay(*map(int, sys.argv[1:3]))
    started = time.perf_counter()
    summary = asyncio.run(aggregate(day))
    outcome = {
        "events": summary.events,
        "rows": dict(day.written),
        "measures": day.measures,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mib": round(sum(_peaks()), 1),
    }
    print(msgspec.json.encode(outcome).decode())


if __name__ == "__main__":
    main()
