"""Between us and Bigtable everything breaks, one thing after the other; what was promised holds all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import StoreRefusedError, StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline
from tests.faults.proxy import Code, FaultProxy, Faults
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, message, music_event

DAY = date(2024, 1, 15)
SHORT = 3.0  # seconds until a write is given up


@pytest.fixture
def proxy(settings: Settings) -> Iterator[FaultProxy]:
    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        yield proxy


@pytest.fixture
async def through(settings: Settings, proxy: FaultProxy) -> AsyncIterator[Bigtable]:
    """A connection by way of the proxy."""
    connection = Bigtable(replace(settings, bigtable_emulator=proxy.address, store_deadline=30.0))
    yield connection
    await connection.close()


@pytest.fixture
async def impatient(settings: Settings, proxy: FaultProxy) -> AsyncIterator[Bigtable]:
    """Likewise; it gives up soon."""
    connection = Bigtable(replace(settings, bigtable_emulator=proxy.address, store_deadline=SHORT))
    yield connection
    await connection.close()


async def take(bigtable: Bigtable, events: list[dict[str, Any]], each: int = 10) -> list[BaseException | None]:
    """Take events in, a few to a message, all messages at once."""
    ingestion = IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT))
    messages = [message(lines(events[at : at + each])) for at in range(0, len(events), each)]
    return await asyncio.gather(*map(ingestion.take, messages), return_exceptions=True)


def stored(settings: Settings) -> int:
    return len(list(cells(dump(settings, "events"), "e")))


EVENTS = [music_event(number) for number in range(300)]


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL])
async def test_calls_that_fail_are_made_again(
    settings: Settings, proxy: FaultProxy, through: Bigtable, code: Code
) -> None:
    proxy.faults = Faults(calls=0.6, codes=(code,))

    assert set(await take(through, EVENTS)) == {None}

    assert stored(settings) == 300
    assert proxy.injected[f"call {code.name}"] > 0


async def test_of_entries_only_those_that_failed_are_sent_again(
    settings: Settings, proxy: FaultProxy, through: Bigtable
) -> None:
    proxy.faults = Faults(entries=0.5)
    of_many_users = [music_event(number, userId=f"user-{number}") for number in range(300)]  # an entry each

    assert set(await take(through, of_many_users)) == {None}

    assert stored(settings) == 300
    assert proxy.injected["entry unmentioned"] > 0
    assert sum(proxy.injected.values()) - proxy.injected["entry unmentioned"] > 0


async def test_a_lost_answer_stores_nothing_twice(settings: Settings, proxy: FaultProxy, through: Bigtable) -> None:
    proxy.faults = Faults(answers=0.6)

    assert set(await take(through, EVENTS)) == {None}

    assert stored(settings) == 300
    assert all(len(versions) == 1 for row in dump(settings, "events").values() for versions in row.values())
    assert proxy.injected["answer lost"] > 0


async def test_connections_may_be_reset_at_any_time(settings: Settings, proxy: FaultProxy, through: Bigtable) -> None:
    async def keep_resetting() -> None:
        """Reset with every few calls, in the midst of one: a slow machine must not have them all reset."""
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
            assert set(await take(through, EVENTS)) == {None}
    resetting.cancel()

    assert stored(settings) == 300


async def test_after_darkness_the_same_connection_goes_on(
    settings: Settings, proxy: FaultProxy, through: Bigtable
) -> None:
    assert set(await take(through, EVENTS[:10])) == {None}
    with proxy.darkness():
        writing = asyncio.create_task(take(through, EVENTS))
        await asyncio.sleep(1)  # the time is the input here
        assert not writing.done()

    assert set(await writing) == {None}
    assert stored(settings) == 300


async def test_darkness_beyond_the_deadline_is_told_and_nothing_is_acknowledged(
    settings: Settings, proxy: FaultProxy, impatient: Bigtable
) -> None:
    assert set(await take(impatient, EVENTS[:10])) == {None}
    with proxy.darkness():
        results = await take(impatient, EVENTS[10:])

    assert {type(result) for result in results} == {StoreUnavailableError}
    assert stored(settings) == 10
    assert set(await take(impatient, EVENTS)) == {None}  # as Pub/Sub delivers them again
    assert stored(settings) == 300


async def test_a_call_that_hangs_ends_with_the_deadline(proxy: FaultProxy, impatient: Bigtable) -> None:
    proxy.faults = Faults(delay=3 * SHORT)
    async with asyncio.timeout(3 * SHORT):
        [result] = await take(impatient, EVENTS[:1])

    assert isinstance(result, StoreUnavailableError)


async def test_without_permission_nothing_is_tried_again(proxy: FaultProxy, through: Bigtable) -> None:
    assert await take(through, EVENTS[:1]) == [None]
    before = proxy.calls["MutateRows"]
    proxy.faults = Faults(calls=1.0, codes=(Code.PERMISSION_DENIED,))

    [result] = await take(through, EVENTS[:1])

    assert isinstance(result, StoreRefusedError)
    assert "PERMISSION_DENIED" in str(result)
    assert proxy.calls["MutateRows"] - before <= 1


async def test_a_row_that_bigtable_calls_invalid_fails_alone(
    settings: Settings, proxy: FaultProxy, through: Bigtable
) -> None:
    def guilty(row_key: bytes) -> bool:
        return row_key.endswith(b"#user-3")

    assert set(await take(through, EVENTS[:1])) == {None}
    proxy.faults = Faults(refuse=(guilty, Code.INVALID_ARGUMENT), table="events")

    results = await take(through, EVENTS, each=1)

    failed = [isinstance(result, StoreRefusedError) for result in results]
    assert failed == [event["userId"] == "user-3" for event in EVENTS]
    assert stored(settings) == sum(event["userId"] != "user-3" for event in EVENTS)


async def test_a_day_is_right_though_its_scans_break_off(
    settings: Settings, proxy: FaultProxy, through: Bigtable
) -> None:
    events = [music_event(number, userId=f"user-{number % 97}", pad="x" * 9_000) for number in range(1_000)]
    assert set(await take(through, events)) == {None}
    proxy.faults = Faults(calls=0.1, answers=0.3, entries=0.1)

    summary = await AggregatePipeline(through, load_contract(MUSIC_CONTRACT)).run(DAY)

    assert summary.events == 1_000
    assert proxy.injected["stream broken"] > 0
    aggregates = dump(settings, "aggregates", b"user#")
    counts = [int(row["a", b"total_events"][0][1]) for row in aggregates.values()]
    assert (len(counts), sum(counts)) == (97, 1_000)


async def test_a_day_that_takes_too_long_is_given_up_and_leaves_nothing_that_goes_on(
    settings: Settings, proxy: FaultProxy, through: Bigtable
) -> None:
    events = [music_event(number, pad="x" * 9_000) for number in range(300)]  # enough for a process of its own
    assert set(await take(through, events)) == {None}
    aggregation = AggregatePipeline(through, load_contract(MUSIC_CONTRACT), deadline=1.0)
    proxy.faults = Faults(delay=0.5)  # four rounds of scans

    with pytest.raises(StoreUnavailableError, match=r"2024-01-15: the run didn't finish within 1 s"):
        await aggregation.run(DAY)

    assert dump(settings, "state", b"run#") == {}
    assert [task for task in asyncio.all_tasks() if "read_shard" in repr(task)] == []
    proxy.faults = Faults()
    assert (await AggregatePipeline(through, load_contract(MUSIC_CONTRACT)).run(DAY)).events == 300
