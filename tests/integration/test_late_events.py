"""An event of an earlier day is counted without anyone's help, also one that comes amid a run of its day."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
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


def counted(settings: Settings) -> int:
    """Return how many events the run that counts has counted."""
    _, _, _, value = next(cells(dump(settings, "state", b"run#20240115"), "s"))
    return int(json.loads(value)["events"])


async def scheduled(bigtable: Bigtable) -> None:
    """Do what comes of an empty request, which the schedule sends."""
    aggregation = AggregatePipeline(bigtable, CONTRACT)
    for day in await aggregation.days(message(b"", published=datetime(2024, 1, 17, 1, tzinfo=UTC))):
        await aggregation.run(day)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks that come back after a tenth of a second, and the margin that goes with them."""
    monkeypatch.setattr(state, "REMARK_SECONDS", 0.1)
    monkeypatch.setattr(state, "CLEAR_MARGIN", timedelta(seconds=0.1 + 0.5))


async def test_events_that_keep_coming_while_runs_keep_running_are_all_counted(
    settings: Settings, bigtable: Bigtable, soon: None
) -> None:
    """Every moment of a run is met by some event; a slow connection makes the moments long."""
    ingestion = IngestPipeline(bigtable, CONTRACT)

    async def keep_coming() -> None:
        for number in range(600):
            await ingestion.process(message(lines([music_event(number)])))
            await asyncio.sleep(0.01)  # the pace is the input here

    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        slow = Bigtable(replace(settings, bigtable_emulator=proxy.address))
        proxy.faults = Faults(delay=0.005)
        coming = asyncio.create_task(keep_coming())
        while not coming.done():
            await scheduled(slow)
        await coming
        await scheduled(slow)
        await slow.close()

    assert counted(settings) == 600
    async with asyncio.timeout(30):
        while await StateTable(bigtable).late_days():  # a mark outlives its event by the margin, and no longer
            await scheduled(bigtable)


@pytest.mark.parametrize("moment", ["read", "write", "finish_run", "sweep", "clear_late"])
async def test_an_event_of_any_moment_of_a_run_is_counted_by_the_next(
    settings: Settings, bigtable: Bigtable, mocker: MockerFixture, moment: str
) -> None:
    """Also if its day was marked a while ago, so that its own coming leaves no further mark."""
    ingestion = IngestPipeline(bigtable, CONTRACT)
    await ingestion.process(message(lines([music_event(1)])))
    aggregation = AggregatePipeline(bigtable, CONTRACT)
    target, name = {
        "read": (aggregation._events, "of_shard"),
        "write": (aggregation._quarantine, "count"),  # what comes by user is written, the rest isn't
        "sweep": (aggregation._rollups, "sweep"),
    }.get(moment, (aggregation._state, moment))
    original = getattr(target, name)

    async def late() -> None:
        await ingestion.process(message(lines([music_event(2)])))

    if moment == "read":

        async def after_it_was_read(prefix: bytes):  # type: ignore[no-untyped-def]
            async for rows in original(prefix):
                yield rows
            await late()  # its shard may have been read

        mocker.patch.object(target, name, after_it_was_read)
    else:

        async def before(*args: object, **kwargs: object) -> object:
            await late()
            return await original(*args, **kwargs)

        mocker.patch.object(target, name, before)
    await aggregation.run(DAY)
    mocker.stopall()

    await scheduled(bigtable)

    assert counted(settings) == 2


async def test_marks_cost_one_write_a_minute_not_one_an_event(settings: Settings) -> None:
    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        bigtable = Bigtable(replace(settings, bigtable_emulator=proxy.address))
        ingestion = IngestPipeline(bigtable, CONTRACT)
        await ingestion.process(message(lines([music_event(0)])))
        before = proxy.calls["MutateRows"]
        for number in range(1, 101):
            await ingestion.process(message(lines([music_event(number)])))
        await bigtable.close()

    assert proxy.calls["MutateRows"] - before == 100  # the events themselves


async def test_of_messages_that_come_together_one_marks_their_day(settings: Settings, mocker: MockerFixture) -> None:
    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        proxy.faults = Faults(delay=0.02)
        bigtable = Bigtable(replace(settings, bigtable_emulator=proxy.address))
        ingestion = IngestPipeline(bigtable, CONTRACT)
        await ingestion.process(message(lines([music_event(0, timestamp=datetime.now(UTC).isoformat())])))
        write = mocker.spy(ingestion._state._bigtable, "write")
        await asyncio.gather(*(ingestion.process(message(lines([music_event(number)]))) for number in range(100)))
        await bigtable.close()

    assert len(list(cells(dump(settings, "state", b"late#"), "s"))) == 1
    assert [call.args[0] for call in write.call_args_list].count("state") == 1
