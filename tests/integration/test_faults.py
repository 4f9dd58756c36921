"""Every event is stored once although calls to Bigtable fail, hang, break or lose their response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import StoreRefusedError, StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline
from tests.faults.proxy import Code, FaultProxy, Faults
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, message, music_event

DAY = date(2024, 1, 15)
SHORT = 3.0  # deadline of a write in seconds


@pytest.fixture
def proxy(settings: Settings) -> Iterator[FaultProxy]:
    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        yield proxy


@pytest.fixture
async def proxied(settings: Settings, proxy: FaultProxy) -> AsyncIterator[Bigtable]:
    """A connection through the proxy."""
    connection = Bigtable(replace(settings, bigtable_emulator=proxy.address, store_deadline=30.0))
    yield connection
    await connection.close()


@pytest.fixture
async def short_deadline(settings: Settings, proxy: FaultProxy) -> AsyncIterator[Bigtable]:
    """A connection through the proxy with a short deadline."""
    connection = Bigtable(replace(settings, bigtable_emulator=proxy.address, store_deadline=SHORT))
    yield connection
    await connection.close()


async def process(bigtable: Bigtable, events: list[dict[str, Any]], each: int = 10) -> list[BaseException | None]:
    """Process all events at once, `each` to a message; return the errors."""
    pipeline = IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT))
    messages = [message(lines(events[start : start + each])) for start in range(0, len(events), each)]
    return await asyncio.gather(*map(pipeline.process, messages), return_exceptions=True)


def stored(settings: Settings) -> int:
    return len(list(cells(dump(settings, "events"), "e")))


EVENTS = [music_event(number) for number in range(300)]


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL])
async def test_failed_calls_are_retried(settings: Settings, proxy: FaultProxy, proxied: Bigtable, code: Code) -> None:
    proxy.faults = Faults(calls=0.6, codes=(code,))

    assert set(await process(proxied, EVENTS)) == {None}

    assert stored(settings) == 300
    assert proxy.injected[f"call {code.name}"] > 0


async def test_only_failed_entries_are_retried(settings: Settings, proxy: FaultProxy, proxied: Bigtable) -> None:
    proxy.faults = Faults(entries=0.5)
    events = [music_event(number, userId=f"user-{number}") for number in range(300)]  # one entry each

    assert set(await process(proxied, events)) == {None}

    assert stored(settings) == 300
    assert proxy.injected["entry omitted"] > 0
    assert sum(proxy.injected.values()) - proxy.injected["entry omitted"] > 0


async def test_a_lost_response_stores_no_event_twice(settings: Settings, proxy: FaultProxy, proxied: Bigtable) -> None:
    proxy.faults = Faults(responses=0.6)

    assert set(await process(proxied, EVENTS)) == {None}

    assert stored(settings) == 300
    assert all(len(versions) == 1 for row in dump(settings, "events").values() for versions in row.values())
    assert proxy.injected["response lost"] > 0


async def test_connection_resets_lose_no_event(settings: Settings, proxy: FaultProxy, proxied: Bigtable) -> None:
    async def keep_resetting() -> None:
        """Reset after every five calls, during a call: on a slow machine a fixed interval would reset all of them."""
        due = 0
        while True:
            await asyncio.sleep(0.002)
            if proxy.calls.total() >= due:
                proxy.reset()
                due = proxy.calls.total() + 5

    proxy.faults = Faults(delay=0.02)
    resetting = asyncio.create_task(keep_resetting())
    async with asyncio.timeout(60):
        while proxy.injected["connections reset"] < 5:
            assert set(await process(proxied, EVENTS)) == {None}
    resetting.cancel()

    assert stored(settings) == 300


async def test_the_same_connection_works_after_an_outage(
    settings: Settings, proxy: FaultProxy, proxied: Bigtable
) -> None:
    assert set(await process(proxied, EVENTS[:10])) == {None}
    with proxy.outage():
        writing = asyncio.create_task(process(proxied, EVENTS))
        await asyncio.sleep(1)  # the time is the input here
        assert not writing.done()

    assert set(await writing) == {None}
    assert stored(settings) == 300


async def test_an_outage_beyond_the_deadline_is_an_error_and_acknowledges_nothing(
    settings: Settings, proxy: FaultProxy, short_deadline: Bigtable
) -> None:
    assert set(await process(short_deadline, EVENTS[:10])) == {None}
    with proxy.outage():
        results = await process(short_deadline, EVENTS[10:])

    assert {type(result) for result in results} == {StoreUnavailableError}
    assert stored(settings) == 10
    assert set(await process(short_deadline, EVENTS)) == {None}  # like a redelivery by Pub/Sub
    assert stored(settings) == 300


async def test_a_call_that_hangs_ends_with_the_deadline(proxy: FaultProxy, short_deadline: Bigtable) -> None:
    proxy.faults = Faults(delay=3 * SHORT)
    async with asyncio.timeout(3 * SHORT):
        [result] = await process(short_deadline, EVENTS[:1])

    assert isinstance(result, StoreUnavailableError)


async def test_permission_denied_is_not_retried(proxy: FaultProxy, proxied: Bigtable) -> None:
    assert await process(proxied, EVENTS[:1]) == [None]
    before = proxy.calls["MutateRows"]
    proxy.faults = Faults(calls=1.0, codes=(Code.PERMISSION_DENIED,))

    [result] = await process(proxied, EVENTS[:1])

    assert isinstance(result, StoreRefusedError)
    assert "PERMISSION_DENIED" in str(result)
    assert proxy.calls["MutateRows"] - before <= 1


async def test_an_invalid_row_fails_alone(settings: Settings, proxy: FaultProxy, proxied: Bigtable) -> None:
    def is_invalid(row_key: bytes) -> bool:
        return row_key.endswith(b"#user-3")

    assert set(await process(proxied, EVENTS[:1])) == {None}
    proxy.faults = Faults(refuse=(is_invalid, Code.INVALID_ARGUMENT), table="events")

    results = await process(proxied, EVENTS, each=1)

    failed = [isinstance(result, StoreRefusedError) for result in results]
    assert failed == [event["userId"] == "user-3" for event in EVENTS]
    assert stored(settings) == sum(event["userId"] != "user-3" for event in EVENTS)


async def test_a_day_is_correct_although_its_scans_break(
    settings: Settings, proxy: FaultProxy, proxied: Bigtable
) -> None:
    events = [music_event(number, userId=f"user-{number % 97}", pad="x" * 9_000) for number in range(1_000)]
    assert set(await process(proxied, events)) == {None}
    proxy.faults = Faults(calls=0.1, responses=0.3, entries=0.1)

    summary = await AggregatePipeline(proxied, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert summary.events == 1_000
    assert proxy.injected["stream broken"] > 0
    aggregates = dump(settings, "aggregates", b"user#")
    counts = [int(row["a", b"total_events"][0][1]) for row in aggregates.values()]
    assert (len(counts), sum(counts)) == (97, 1_000)


async def test_a_run_beyond_its_deadline_ends_with_all_its_tasks(
    settings: Settings, proxy: FaultProxy, proxied: Bigtable
) -> None:
    events = [music_event(number, pad="x" * 9_000) for number in range(300)]  # enough for a separate process
    assert set(await process(proxied, events)) == {None}
    pipeline = AggregatePipeline(proxied, load_contract(MUSIC_CONTRACT), deadline=1.0)
    proxy.faults = Faults(delay=0.5)  # four rounds of scans

    with pytest.raises(StoreUnavailableError, match=r"2024-01-15: the run didn't finish within 1 s"):
        await pipeline.run(DAY)

    assert dump(settings, "state", b"run#") == {}
    assert [task for task in asyncio.all_tasks() if "read_shard" in repr(task)] == []
    proxy.faults = Faults()
    assert (await AggregatePipeline(proxied, load_contract(MUSIC_CONTRACT)).run(DAY)).events == 300
