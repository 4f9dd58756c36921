"""Late events are counted by the schedule alone, including those that arrive during a run of their day."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace
from pytest_mock import MockerFixture

from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.tables import state
from shared.tables.state import StateTable
from tests.faults.proxy import FaultProxy, Faults
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, message, music_event

DAY = date(2024, 1, 15)
CONTRACT = load_contract(MUSIC_CONTRACT)


def events_counted(settings: Settings) -> int:
    """Return the number of events counted by the current run."""
    _, _, _, value = next(cells(dump(settings, "state", b"run#20240115"), "s"))
    return int(json.loads(value)["events"])


async def run_days_due(bigtable: Bigtable) -> None:
    """Run all days of the empty request that the schedule sends."""
    pipeline = AggregatePipeline(bigtable, CONTRACT)
    for day in await pipeline.days(message(b"", published=datetime(2024, 1, 17, 1, tzinfo=UTC))):
        await pipeline.run(day)


@pytest.fixture
def short_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew marks after 0.1 s, with the corresponding margin."""
    monkeypatch.setattr(state, "REMARK_SECONDS", 0.1)
    monkeypatch.setattr(state, "CLEAR_MARGIN", timedelta(seconds=0.1 + 0.5))


@pytest.mark.slow
async def test_events_arriving_during_repeated_runs_are_all_counted(
    settings: Settings, bigtable: Bigtable, short_margin: None
) -> None:
    """A slow connection prolongs every step of a run, so that events arrive during each."""
    ingest = IngestPipeline(bigtable, CONTRACT)

    async def ingest_events() -> None:
        for number in range(600):
            await ingest.process(message(lines([music_event(number)])))
            await asyncio.sleep(0.01)  # the rate of the load

    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        slow = Bigtable(replace(settings, bigtable_emulator=proxy.address))
        proxy.faults = Faults(delay=0.005)
        ingesting = asyncio.create_task(ingest_events())
        while not ingesting.done():
            await run_days_due(slow)
        await ingesting
        await run_days_due(slow)
        await slow.close()

    assert events_counted(settings) == 600
    async with asyncio.timeout(30):
        while await StateTable(bigtable).late_days():  # a mark is cleared once it is older than the margin
            await run_days_due(bigtable)


@pytest.mark.parametrize("step", ["read", "write", "finish_run", "sweep", "clear_late"])
async def test_an_event_stored_during_a_run_is_counted_by_the_next(
    settings: Settings, bigtable: Bigtable, mocker: MockerFixture, step: str
) -> None:
    """The day is marked already, so the event leaves no further mark."""
    ingest = IngestPipeline(bigtable, CONTRACT)
    await ingest.process(message(lines([music_event(1)])))
    pipeline = AggregatePipeline(bigtable, CONTRACT)
    target, name = {
        "read": (pipeline._events, "of_shard"),
        "write": (pipeline._rejected, "count"),  # the measures are written, the quality isn't
        "sweep": (pipeline._aggregates, "sweep"),
    }.get(step, (pipeline._state, step))
    original = getattr(target, name)

    async def ingest_late_event() -> None:
        await ingest.process(message(lines([music_event(2)])))

    if step == "read":

        async def read_then_ingest(prefix: bytes):  # type: ignore[no-untyped-def]
            async for rows in original(prefix):
                yield rows
            await ingest_late_event()  # its shard may have been read already

        mocker.patch.object(target, name, read_then_ingest)
    else:

        async def ingest_first(*args: object, **kwargs: object) -> object:
            await ingest_late_event()
            return await original(*args, **kwargs)

        mocker.patch.object(target, name, ingest_first)
    await pipeline.run(DAY)
    mocker.stopall()

    await run_days_due(bigtable)

    assert events_counted(settings) == 2


async def test_late_events_mark_their_day_at_most_once_a_minute(settings: Settings) -> None:
    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        bigtable = Bigtable(replace(settings, bigtable_emulator=proxy.address))
        ingest = IngestPipeline(bigtable, CONTRACT)
        await ingest.process(message(lines([music_event(0)])))
        before = proxy.calls["MutateRows"]
        for number in range(1, 101):
            await ingest.process(message(lines([music_event(number)])))
        await bigtable.close()

    assert proxy.calls["MutateRows"] - before == 100  # the events themselves


async def test_only_one_of_many_concurrent_messages_marks_their_day(settings: Settings, mocker: MockerFixture) -> None:
    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        proxy.faults = Faults(delay=0.02)
        bigtable = Bigtable(replace(settings, bigtable_emulator=proxy.address))
        ingest = IngestPipeline(bigtable, CONTRACT)
        await ingest.process(message(lines([music_event(0, timestamp=datetime.now(UTC).isoformat())])))
        write = mocker.spy(ingest._state._bigtable, "write")
        await asyncio.gather(*(ingest.process(message(lines([music_event(number)]))) for number in range(100)))
        await bigtable.close()

    assert len(list(cells(dump(settings, "state", b"late#"), "s"))) == 1
    assert [call.args[0] for call in write.call_args_list].count("state") == 1


async def test_rejected_events_mark_their_day_of_publication(bigtable: Bigtable) -> None:
    pipeline, published = IngestPipeline(bigtable, CONTRACT), datetime(2024, 1, 15, 12, tzinfo=UTC)
    aggregate, state = AggregatePipeline(bigtable, CONTRACT), StateTable(bigtable)
    await aggregate.run(DAY)

    bad = [music_event(number, userId="") for number in range(10)]
    await pipeline.process(message(lines(bad), published=published))

    assert await state.late_days() == [DAY]
    assert (await aggregate.run(DAY)).rejected == 10
