"""Row 7: how long after its publication an event can be read, at half of what the local stack manages."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from google.pubsub_v1.types import PubsubMessage

from infra.local.stack import Stack
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.read_rows import Filter, Scan
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract
from shared.pubsub.publisher import Publisher
from shared.row_keys import CellKey
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.bench import counting, events
from tests.bench.parts import Parts
from tests.bench.results import Result, Wrong, most

_FULL, _SECONDS = 6_000, 20
_TICK = 0.02  # seconds between two calls of the publisher
_PROBES = 10  # a second
_PATIENCE = 60.0


def until_readable(_parts: Parts) -> Result:
    """Row 7."""
    with Stack(contract=Path(DEFAULT_CONTRACT)) as stack:
        rate, p50, p99, sent = asyncio.run(_measure(stack))
        counting.expect_events(stack.settings, (f"evt_{events.DAY:%Y%m%d}_{number:09d}" for number in range(sent)))
    return Result(
        value=p50,
        unit="ms at the median",
        figures={"full load, messages/s": rate},
        ratios={"p50 in ms": p50, "p99 in ms": p99},
        targets={"p50 in ms": most(50), "p99 in ms": most(250)},
        how="messages of one event, published evenly at half the rate at which the local stack (Pub/Sub's emulator, "
        f"relay, function, Bigtable's emulator) took {_FULL:,} at once, for {_SECONDS} s; every tenth of a second one "
        "event is read repeatedly from its publication until it is found",
    )


async def _measure(stack: Stack) -> tuple[float, float, float, int]:
    settings = stack.settings
    raws = list(events.lines(_FULL))
    async with Publisher(settings) as publisher:
        started = time.monotonic()
        for first in range(0, _FULL, 1_000):
            await publisher.publish("events", [PubsubMessage(data=raw) for raw in raws[first : first + 1_000]])
        await _acknowledged(stack, _FULL)
        rate = _FULL / (time.monotonic() - started)
        count = int(rate / 2 * _SECONDS)
        more = list(events.lines(_FULL + count))[_FULL:]
        waits = await _at_half(publisher, settings, more, rate / 2)
        await _acknowledged(stack, _FULL + count)
    quantiles = statistics.quantiles(waits, n=100)
    return rate, 1_000 * quantiles[49], 1_000 * quantiles[98], _FULL + count


async def _at_half(publisher: Publisher, settings: Settings, raws: Sequence[bytes], rate: float) -> list[float]:
    """Publish evenly, and return how many seconds it took until each of some events could be read."""
    validator = Validator(load_contract(DEFAULT_CONTRACT))
    bigtable = Bigtable(settings)
    probes: list[asyncio.Task[float]] = []
    published: set[asyncio.Task[object]] = set()
    started = time.monotonic()
    due = done = 0
    while done < len(raws):
        await asyncio.sleep(started + (due := due + 1) * _TICK - time.monotonic())
        until = min(int((time.monotonic() - started) * rate), len(raws))
        if until == done:
            continue
        batch, done = raws[done:until], until
        call = asyncio.create_task(publisher.publish("events", [PubsubMessage(data=raw) for raw in batch]))
        published.add(call)
        if len(probes) < (time.monotonic() - started) * _PROBES:
            verdict = validator.validate(batch[-1], events.NOON)
            assert isinstance(verdict, Accepted)
            probes.append(asyncio.create_task(_readable(bigtable, verdict.cell_key, time.monotonic())))
    await asyncio.gather(*published)
    waits = await asyncio.gather(*probes)
    await bigtable.close()
    return waits


async def _readable(bigtable: Bigtable, place: CellKey, published: float) -> float:
    only = Filter(column_qualifier_regex_filter=place.qualifier)
    while time.monotonic() - published < _PATIENCE:
        async for row in bigtable.read(EVENTS, Scan(keys=[place.row_key], filter=only)):
            if row.cells:
                return time.monotonic() - published
        await asyncio.sleep(0.002)
    raise Wrong(f"an event couldn't be read within {_PATIENCE:g} s")


async def _acknowledged(stack: Stack, count: int) -> None:
    give_up = time.monotonic() + _PATIENCE
    while stack.relayed("events-ingest").get("acknowledged", 0) < count:
        if time.monotonic() > give_up:
            raise Wrong(f"not all of {count:,} messages were acknowledged")
        await asyncio.sleep(0.02)
