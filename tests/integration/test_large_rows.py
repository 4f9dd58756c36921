"""A row that Bigtable can't read at once: its day fails with an error that names it; its events stay readable.

The embedded emulator refuses such reads like Bigtable; the limit is lowered for the tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import grpc
import pytest
from msgspec.structs import replace

from infra.emulators.bigtable import limits
from infra.provision.resources import RESOURCES
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from shared.errors import StoreRefusedError
from shared.ingest.pipeline import IngestPipeline
from shared.tables.events import EventsTable
from tests.support.bigtable_emulator import Clients, serving
from tests.support.samples import MUSIC_CONTRACT, lines, message, music_event

DAY = date(2024, 1, 15)
CONTRACT = load_contract(MUSIC_CONTRACT)
MIDNIGHT, NEXT = datetime(2024, 1, 15, tzinfo=UTC), datetime(2024, 1, 16, tzinfo=UTC)


@pytest.fixture
async def bigtable(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bigtable]:
    """Tables in an emulator of this process whose reads return rows of up to 20,000 bytes."""
    monkeypatch.setattr(limits, "MAX_ROW", 20_000)
    async with serving() as address, grpc.aio.insecure_channel(address) as channel:
        clients = Clients(channel)
        for table in RESOURCES.tables:
            await clients.create_table(*table.families, table_id=table.name)
        _, project, _, instance = clients.instance.split("/")
        connection = Bigtable(Settings(project, instance, bigtable_emulator=address))
        yield connection
        await connection.close()


async def test_a_day_with_an_unreadable_row_fails_with_the_row_in_the_error(bigtable: Bigtable) -> None:
    await store(bigtable, "busy bot", 200)
    await store(bigtable, "ann", 2)

    with pytest.raises(StoreRefusedError, match=r"reading events: FAILED_PRECONDITION: row .*#20240115#busy%20bot"):
        await AggregatePipeline(bigtable, CONTRACT).run(DAY)


async def test_the_events_of_an_unreadable_row_are_read_in_parts(bigtable: Bigtable) -> None:
    await store(bigtable, "busy bot", 200)
    events = EventsTable(bigtable, "day")

    with pytest.raises(StoreRefusedError):
        await events.of_user("busy bot", MIDNIGHT, NEXT, None, 1)

    assert len(await events.of_user("busy bot", MIDNIGHT, NEXT, 50, 1)) == 50
    minute = MIDNIGHT.replace(minute=1)
    assert len(await events.of_user("busy bot", MIDNIGHT, minute, None, 1)) == 60


async def test_hourly_rows_keep_a_busy_day_readable(bigtable: Bigtable) -> None:
    by_hour = replace(CONTRACT, bucket="hour")
    await store(bigtable, "busy bot", 200, contract=by_hour, apart=timedelta(minutes=5))

    assert len(await EventsTable(bigtable, "hour").of_user("busy bot", MIDNIGHT, NEXT, None, 1)) == 200
    assert (await AggregatePipeline(bigtable, by_hour).run(DAY)).events == 200


async def store(
    bigtable: Bigtable,
    user: str,
    count: int,
    *,
    contract: Contract = CONTRACT,
    apart: timedelta = timedelta(seconds=1),
) -> None:
    """Store events of a user from midnight on, each of about 150 bytes."""
    times = [(MIDNIGHT + number * apart).isoformat() for number in range(count)]
    events = [music_event(number, userId=user, timestamp=time) for number, time in enumerate(times)]
    await IngestPipeline(bigtable, contract).process(message(lines(events), published=NEXT))
