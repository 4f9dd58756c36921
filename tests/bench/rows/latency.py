"""Row 7: the time from publication of an event until it can be read, at half the full load of the local stack."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from google.pubsub_v1.types import PubsubMessage

from infra.local.stack import Stack
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.read_rows import Scan
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract
from shared.pubsub.publisher import Publisher
from shared.row_keys import CellKey
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.bench import events
from tests.bench.results import MeasurementError, Result, most
from tests.bench.servers import Servers
from tests.bench.verify_tables import verify_events

_FULL, _SECONDS = 6_000, 20
_TICK_SECONDS = 0.02  # between two calls of the publisher
_PROBES_PER_SECOND = 10
_TIMEOUT = 60.0


def until_readable(_servers: Servers) -> Result:
    """Measure row 7: milliseconds from publication to readable."""
    with Stack(contract=Path(DEFAULT_CONTRACT)) as stack:
        rate, p50, p99, sent = asyncio.run(_measure(stack))
        verify_events(stack.settings, (f"evt_{events.DAY:%Y%m%d}_{number:09d}" for number in range(sent)))
    return Result(
        value=p50,
        unit="ms at the median",
        figures={"full load, messages/s": rate},
        ratios={"p50 in ms": p50, "p99 in ms": p99},
        targets={"p50 in ms": most(50), "p99 in ms": most(60)},
        how="messages of one event, published evenly at half the rate at which the local stack took "
        f"{_FULL:,} at once, for {_SECONDS} s. The stack is the embedded emulators, whose own push delivers the "
        "messages, and one instance of the function. Every tenth of a second one event is read repeatedly from its "
        "publication until it is found",
    )


async def _measure(stack: Stack) -> tuple[float, float, float, int]:
    settings = stack.settings
    raws = list(events.lines(_FULL))
    async with Publisher(settings) as publisher:
        started = time.monotonic()
        for first in range(0, _FULL, 1_000):
            await publisher.publish("events", [PubsubMessage(data=raw) for raw in raws[first : first + 1_000]])
        await _wait_acknowledged(stack, _FULL)
        rate = _FULL / (time.monotonic() - started)
        count = int(rate / 2 * _SECONDS)
        more = list(events.lines(_FULL + count))[_FULL:]
        waits = await _publish_evenly(publisher, settings, more, rate / 2)
        await _wait_acknowledged(stack, _FULL + count)
    quantiles = statistics.quantiles(waits, n=100)
    return rate, 1_000 * quantiles[49], 1_000 * quantiles[98], _FULL + count


async def _publish_evenly(publisher: Publisher, settings: Settings, raws: Sequence[bytes], rate: float) -> list[float]:
    """Publish at an even rate; return the seconds until each of some events could be read."""
    validator = Validator(load_contract(DEFAULT_CONTRACT))
    bigtable = Bigtable(settings)
    probes: list[asyncio.Task[float]] = []
    published: set[asyncio.Task[object]] = set()
    started = time.monotonic()
    due = done = 0
    while done < len(raws):
        await asyncio.sleep(started + (due := due + 1) * _TICK_SECONDS - time.monotonic())
        until = min(int((time.monotonic() - started) * rate), len(raws))
        if until == done:
            continue
        batch, done = raws[done:until], until
        call = asyncio.create_task(publisher.publish("events", [PubsubMessage(data=raw) for raw in batch]))
        published.add(call)
        if len(probes) < (time.monotonic() - started) * _PROBES_PER_SECOND:
            verdict = validator.validate(batch[-1], events.NOON)
            assert isinstance(verdict, Accepted)
            probes.append(asyncio.create_task(_readable(bigtable, verdict.cell_key, time.monotonic())))
    await asyncio.gather(*published)
    waits = await asyncio.gather(*probes)
    await bigtable.close()
    return waits


async def _readable(bigtable: Bigtable, cell_key: CellKey, published: float) -> float:
    filter = Filter(column_qualifier_regex_filter=cell_key.qualifier)
    while time.monotonic() - published < _TIMEOUT:
        async for row in bigtable.read(EVENTS, Scan(keys=[cell_key.row_key], filter=filter)):
            if row.cells:
                return time.monotonic() - published
        await asyncio.sleep(0.002)
    raise MeasurementError(f"an event couldn't be read within {_TIMEOUT:g} s")


async def _wait_acknowledged(stack: Stack, count: int) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while stack.deliveries("events-ingest").get("acknowledged", 0) < count:
        if time.monotonic() > deadline:
            raise MeasurementError(f"not all of {count:,} messages were acknowledged")
        await asyncio.sleep(0.02)
