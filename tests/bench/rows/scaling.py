"""Row 16: several instances of the function at once, against stores that count cells and aren't the limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from infra.provision.bigtable import provision_bigtable
from shared.config import Settings
from tests.bench import events
from tests.bench.counting_store import counted_cells
from tests.bench.http_load import post_spread
from tests.bench.peers import prebuilt
from tests.bench.results import MeasurementError, Result
from tests.bench.servers import INGEST, Function, Servers

_INSTANCES = (1, 2, 4, 8)
_MESSAGES, _PACKED, _WARM_UP = 3_000, 100, 16
_CONCURRENT = 16  # requests to each instance
_CORES_PER_STORE = 4
_ROWS_PER_CALL = 1_000
# The stores have to take this many times the rate of the instances.
_MARGIN = 1.2


def instances(servers: Servers) -> Result:
    """Measure row 16: events per second of 1, 2, 4 and 8 instances."""
    cores = os.cpu_count() or 1
    count = max(1, min(max(_INSTANCES), cores // _CORES_PER_STORE))
    sent = list(events.lines(_MESSAGES * _PACKED))
    bodies = list(events.posts(sent, packed=_PACKED))
    with ExitStack() as stack:
        stores = [stack.enter_context(_store(servers)) for _ in range(count)]
        calls = prebuilt.build(stores[0], sent, _ROWS_PER_CALL)
        limit = count * max(prebuilt.send_all(stores[0], calls, _ROWS_PER_CALL) for _ in range(2))
        found = {number: _rate(servers, stores, bodies, number) for number in _INSTANCES}
    rates = {number: rate for number, (rate, _) in found.items()}
    if limit < _MARGIN * max(rates.values()):
        raise MeasurementError(
            f"the stores took {limit:,.0f} prebuilt events/s, expected at least {_MARGIN} times the "
            f"{max(rates.values()):,.0f} events/s of the instances"
        )
    others = {f"{number} instances": rate for number, rate in rates.items() if number > 1}
    micros = {f"µs of CPU an event, {number} instances": found[number][1] for number in _INSTANCES}
    efficiency = {
        f"{number} instances to {min(number, cores)} times one": rates[number] / rates[1] / min(number, cores)
        for number in _INSTANCES
        if number > 1
    }
    return Result(
        value=rates[1],
        unit="events/s of 1 instance",
        figures={**others, "prebuilt calls to the stores": limit, **micros},
        ratios=efficiency,
        targets={},
        how=f"{_MESSAGES:,} messages of {_PACKED} events spread evenly over the instances, {_CONCURRENT} at a time to "
        f"each, on new instances after {_WARM_UP} messages each to warm up. In place of Bigtable, {count} of "
        "`tests/bench/counting_store.py` acknowledge the writes and count every cell; prebuilt calls of "
        f"{_ROWS_PER_CALL:,} rows show that they aren't the limit. The ratio is the rate to that of one instance times "
        f"the instances or the {cores} cores, whichever are fewer. The cores also run the load generator and the "
        "stores, so the ratio can't reach 1 on few of them. The CPU time an event shows whether instances slow each "
        "other down",
    )


@contextmanager
def _store(servers: Servers) -> Iterator[Settings]:
    with servers.python_server("tests.bench.counting_store") as address:
        settings = Settings("bench", "bench", bigtable_emulator=address)
        provision_bigtable(settings)
        yield settings


def _rate(servers: Servers, stores: Sequence[Settings], bodies: Sequence[bytes], number: int) -> tuple[float, float]:
    """Return the events per second of a number of instances, and the microseconds of their CPU time an event."""
    with ExitStack() as stack:
        functions = [
            stack.enter_context(servers.function("ingest", INGEST, stores[index % len(stores)]))
            for index in range(number)
        ]
        urls = [function.url for function in functions]
        post_spread(urls, bodies[: _WARM_UP * number], concurrent=_CONCURRENT)
        cells, seconds = _cells(stores), _cpu_seconds(functions)
        rate = _PACKED * post_spread(urls, bodies, concurrent=_CONCURRENT)
        seconds = _cpu_seconds(functions) - seconds
        counted = _cells(stores) - cells
    expected = len(bodies) * _PACKED
    if counted != expected:
        raise MeasurementError(f"{number} instances: found {counted:,} cells written, expected {expected:,}")
    return rate, 1e6 * seconds / expected


def _cells(stores: Sequence[Settings]) -> int:
    return sum(asyncio.run(counted_cells(str(store.bigtable_emulator))) for store in stores)


def _cpu_seconds(functions: Sequence[Function]) -> float:
    return sum(function.cpu_seconds() for function in functions)
