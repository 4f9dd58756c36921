"""Measure an erasure on the embedded emulators, and verify it: `python -m tests.bench.erase_users --events 1000000`.

The cells of all other users are hashed before and after, with their timestamps; they have to be equal.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import time
from collections.abc import Iterator
from datetime import date, timedelta

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import msgspec

from infra.erase.erasure import Eraser
from infra.erase.plan import make_plan
from infra.erase.survey import Counts
from infra.erase.users import Users
from infra.local.stack import Stack
from infra.provision.bigtable import provision_bigtable
from infra.provision.resources import RESOURCES
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import AGGREGATES, EVENTS, REJECTED, Bigtable
from shared.bigtable.read_rows import Scan
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract
from shared.row_keys import all_shards
from tests.bench.fill_events import fill_events
from tests.support.samples import music_event

_FIRST, _DAYS, _USERS = date(2024, 1, 1), 10, 20_000
_USER = re.compile(rb"user-\d{5}")
# One of these many events is rejected, for an event type that the contract doesn't have.
_REJECTED_EVERY = 100


def generated(events: int) -> Iterator[bytes]:
    """Yield events of 20,000 users on ten days."""
    for number in range(events):
        day = _FIRST + timedelta(days=number % _DAYS)
        kind = "dance" if number // 3 % _REJECTED_EVERY == 7 else "song_play"
        user = f"user-{number // _DAYS * 7_919 % _USERS:05d}"
        moment = f"{day}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.{number % 1000:03d}Z"
        yield msgspec.json.encode(music_event(number, userId=user, timestamp=moment, event_type=kind))


async def digest(bigtable: Bigtable, table: str, erased: frozenset[bytes]) -> tuple[int, str]:
    """Return the number and a hash of all cells, timestamps included, of rows that name no erased user."""
    hashed, cells = hashlib.sha256(), 0
    for prefix in all_shards():
        async for row in bigtable.read(table, Scan.prefix(prefix)):
            user = row.key.split(b"#")[2] if table == EVENTS else b""
            if table == REJECTED:
                raw = dict(zip(row.qualifiers, row.values, strict=True))[b"raw"]
                user = msgspec.json.decode(raw)["userId"].encode()
            if user not in erased:
                cells += len(row.values)
                columns = (row.families, row.qualifiers, row.micros, row.values)
                hashed.update(repr((row.key, *map(list, columns))).encode())
    return cells, hashed.hexdigest()


async def measure(settings: Settings, users: list[str]) -> None:
    """Compute all days, erase users and compare."""
    contract, bigtable = load_contract(DEFAULT_CONTRACT), Bigtable(settings)
    names = frozenset(user.encode() for user in users)
    started = time.perf_counter()
    for number in range(_DAYS):
        await AggregatePipeline(bigtable, contract).run(_FIRST + timedelta(days=number))
    print(f"{_DAYS} days computed in {time.perf_counter() - started:.1f} s")
    before = [await digest(bigtable, table, names) for table in (EVENTS, REJECTED)]
    started = time.perf_counter()
    erased = Users(contract, users)
    plan = await make_plan(bigtable, contract, erased, None)
    print(f"{time.perf_counter() - started:5.1f} s  planned: {plan.survey.counts}")

    def report(line: str) -> None:
        print(f"{time.perf_counter() - started:5.1f} s  {line}")

    outcome = await Eraser(bigtable, contract, report=report).erase(erased, plan)
    report("finished")
    assert outcome.left == Counts(), outcome.left
    assert [await digest(bigtable, table, names) for table in (EVENTS, REJECTED)] == before
    print(f"equal to the byte: {before[0][0]:,} cells of events and {before[1][0]:,} of rejected events of other users")
    cells = 0
    async for row in bigtable.read(AGGREGATES, Scan(ranges=[(b"", b"\xff")])):
        cells += len(row.values)
        found = names.intersection(_USER.findall(b" ".join([row.key, *row.values])))
        assert not found, row.key
    print(f"no erased user in {cells:,} cells of aggregates")
    await bigtable.close()


def main() -> None:
    """Fill the tables, measure and verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=1_000)
    options = parser.parse_args()
    with Stack(functions=()) as stack:
        provision_bigtable(stack.settings, RESOURCES.with_retention({"rejected": None}))
        started = time.perf_counter()
        fill_events(stack.settings, generated(options.events))
        print(f"{options.events:,} events of {_USERS:,} users stored in {time.perf_counter() - started:.1f} s")
        asyncio.run(measure(stack.settings, [f"user-{number:05d}" for number in range(options.users)]))


if __name__ == "__main__":
    main()
