"""Print the tables of docs/scale.md: load, instances, nodes and cost by arithmetic, hot users and shards by simulation.

python -m tests.bench.scale_simulation

The simulation has a fixed seed, and the page has its output. Users follow Zipf's law: the user of rank r has a share of
the events in proportion to 1 / r^s.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate

from infra.deploy.cost import estimate, price_table
from infra.deploy.cost.estimate import Workload
from shared.row_keys import SHARDS
from shared.tables.events import LARGE_ROW_BYTES

SEED = 13
DAYS = (10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)  # events
EVENT_BYTES = 250
EVENTS_PER_USER = 20  # the mean, as in the benchmarks
EXPONENTS = (0.6, 0.8, 1.0)  # s of Zipf's law
MAX_ROW_BYTES = 256_000_000
INTERVALS = (60, 30, 15, 5, 1)  # minutes
# Seconds of a day's run: 95 % of the timeout of the function.
DAY_DEADLINE = 513
# Users that are placed on shards one by one; the others are so many that they are spread evenly.
_PLACED_USERS = 50_000
_ROUNDS = 20
_SUMMED = 10_000  # terms of the harmonic number that aren't approximated


def load_table() -> str:
    """Return the table of instances, nodes and cost by the events of a day."""
    prices = price_table.load()
    a = prices.assumptions
    capacity = 1_000 / a.cpu_ms_event * a.utilisation
    rows = []
    for events in DAYS:
        work = Workload(events, EVENT_BYTES, 100)
        peak = events / 86_400 * a.peak
        megabytes = peak / work.batch_size * estimate.message_bytes(prices, work) / 1e6
        nodes = estimate.nodes(prices, work, a.days_stored)
        stored = estimate.stored_gib(prices, work, a.days_stored)
        hours = events / a.aggregate_events / 3_600
        dollars = estimate.total(estimate.month(prices, work))
        numbers = [f"{peak:,.0f}", f"{megabytes:,.1f}", f"{math.ceil(peak / capacity)}", f"{nodes}", f"{stored:,.0f}"]
        dollars_per_million = dollars / a.days / events * 1e6
        rows.append([f"{events:,}", *numbers, f"{hours:,.2f}", f"{dollars:,.0f}", f"{dollars_per_million:.2f}"])
    heading = "events a day | events/s at the peak | MB/s of push | instances of `ingest` | Bigtable nodes | GiB stored"
    return _table(f"{heading} | hours of one core to aggregate | dollars a month | dollars per million events", rows)


def rows_table() -> str:
    """Return the table of the largest rows, by the events of a day and the exponent."""
    a = price_table.load().assumptions
    stored = EVENT_BYTES + a.stored_overhead
    busiest_hour = a.peak / 24
    rows = []
    for events in DAYS:
        for exponent in EXPONENTS:
            users = events // EVENTS_PER_USER
            largest = events / harmonic(users, exponent) * stored
            row = [f"{events:,}", str(exponent)]
            for size in (largest, largest * busiest_hour):
                counts = (_ranks_above(size, limit, exponent, users) for limit in (LARGE_ROW_BYTES, MAX_ROW_BYTES))
                row += [f"{size / 1e6:,.0f}", *(f"{count:,}" for count in counts)]
            rows.append(row)
    heading = "events a day | s | MB of the largest daily row | daily rows over 50 MB | over 256 MB"
    return _table(f"{heading} | MB of the largest hourly row | busiest hour: rows over 50 MB | over 256 MB", rows)


def shards_table() -> str:
    """Return the table of the busiest shard and the busiest node, relative to the mean of all."""
    users = DAYS[-1] // EVENTS_PER_USER
    rows = []
    for exponent in EXPONENTS:
        loads = [_shard_loads(random.Random(SEED + number), users, exponent) for number in range(_ROUNDS)]
        ratios = [[max(_node_loads(each, nodes)) * nodes for each in loads] for nodes in (64, 32, 16, 4)]
        rows.append([str(exponent), *(f"{sum(each) / _ROUNDS:.2f}, at most {max(each):.2f}" for each in ratios)])
    return _table("s | busiest of 64 shards | of 32 nodes | of 16 nodes | of 4 nodes", rows)


def intraday_table() -> str:
    """Return the table of the intraday schedule: what it adds to a month, by the interval."""
    prices = price_table.load()
    base = estimate.month(prices, Workload(DAYS[0], EVENT_BYTES, 100))
    rows = []
    for minutes in INTERVALS:
        work = Workload(DAYS[0], EVENT_BYTES, 100, intraday_minutes=minutes)
        read, seconds = work.intraday_events, work.intraday_events / prices.assumptions.aggregate_events
        added = estimate.total(estimate.month(prices, work)) - estimate.total(base)
        listed = seconds * prices.assumptions.days * (prices.run.per_vcpu_second + prices.run.per_gib_second)
        counts = [f"{minutes}", f"{work.intraday_runs:,.0f}", f"{read / 1e6:,.0f}", f"{seconds:,.0f}"]
        rows.append([*counts, f"{listed:,.2f}", f"{added:,.2f}"])
    heading = "`every_minutes` | runs a day | million events read a day | core-seconds a day"
    return _table(f"{heading} | dollars a month at list prices | of them beyond the free tier", rows)


@cache
def harmonic(count: int, exponent: float) -> float:
    """Return the sum of 1 / r^s for r from 1 to `count`, the tail by its integral."""
    head = sum(rank**-exponent for rank in range(1, min(count, _SUMMED) + 1))
    if count <= _SUMMED:
        return head
    low, high = _SUMMED + 0.5, count + 0.5
    tail = math.log(high / low) if exponent == 1 else (high ** (1 - exponent) - low ** (1 - exponent)) / (1 - exponent)
    return head + tail


def _ranks_above(largest: float, limit: float, exponent: float, users: int) -> int:
    """Return how many users have more than `limit` where the first has `largest`."""
    return 0 if largest <= limit else min(users, math.ceil((largest / limit) ** (1 / exponent)) - 1)


def _shard_loads(generator: random.Random, users: int, exponent: float) -> list[float]:
    """Return the share of the events on each shard, with the users of the highest ranks placed at random."""
    total = harmonic(users, exponent)
    loads = [(total - harmonic(_PLACED_USERS, exponent)) / total / SHARDS] * SHARDS
    for rank in range(1, _PLACED_USERS + 1):
        loads[generator.randrange(SHARDS)] += rank**-exponent / total
    return loads


def _node_loads(shards: Sequence[float], nodes: int) -> list[float]:
    """Return the share of each node, which has as many neighbouring shards as any other."""
    sums = [0.0, *accumulate(shards)]
    each = SHARDS // nodes
    return [sums[node * each + each] - sums[node * each] for node in range(nodes)]


def _table(heading: str, rows: Iterable[Sequence[str]]) -> str:
    columns = heading.count(" | ") + 1
    lines = [f"| {heading} |", "|" + " --- |" * columns, *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print("\n".join([load_table(), rows_table(), shards_table(), intraday_table()]))
