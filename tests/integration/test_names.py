"""Two pipelines with different names share a project and an instance, and don't see each other's data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest
from google.pubsub_v1.types import PubsubMessage
from msgspec.structs import replace

from infra.batch.dead_letters.events import replay_dead_letters
from infra.batch.subscriber import Subscriber
from infra.provision.provisioner import Provisioning
from infra.provision.scheduler_client import run_job
from infra.provision.teardown import remove_resources
from shared.aggregate.fan_out import request_days
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.bigtable_client import BigTableClient
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.publisher import Publisher
from shared.tables.rejected import RejectedTable
from tests.support.provisioning import provision
from tests.support.samples import MUSIC_CONTRACT, lines, message, music_event

DAY = date(2024, 1, 15)
CONTRACT = load_contract(MUSIC_CONTRACT)


class Pipeline:
    """One of the pipelines, with the code of the functions and of the commands."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bigtable = Bigtable(settings)
        self.client = BigTableClient(settings=settings)

    async def pull(self, subscription: str) -> list[bytes]:
        async with Subscriber(self.settings, self.settings.resource(subscription)) as subscriber:
            return [each.message.data for each in await subscriber.pull(10)]

    async def close(self) -> None:
        await self.bigtable.close()
        await asyncio.to_thread(self.client.close)


@pytest.fixture
async def pipelines(empty_instance: Settings) -> AsyncIterator[tuple[Pipeline, Pipeline]]:
    """The default pipeline and the pipeline "shop"; only the first one gets data."""
    both = Pipeline(empty_instance), Pipeline(replace(empty_instance, name="shop"))
    for each in both:
        await asyncio.to_thread(provision, each.settings)
    yield both
    for each in both:
        await each.close()


@pytest.mark.slow
async def test_messages_reach_only_their_own_pipeline(pipelines: tuple[Pipeline, Pipeline]) -> None:
    default, shop = pipelines
    async with Publisher(default.settings) as publisher:
        await publisher.publish(publisher.events_topic, [PubsubMessage(data=b"{}")])
    await request_days(default.settings, [DAY])

    assert await shop.pull("events-ingest") == await shop.pull("aggregate-run") == []
    assert await default.pull("events-ingest") == [b"{}"]
    assert await default.pull("aggregate-run") == [b'{"date": "2024-01-15"}']


async def test_the_daily_job_requests_days_of_its_own_pipeline(pipelines: tuple[Pipeline, Pipeline]) -> None:
    default, shop = pipelines

    assert await asyncio.to_thread(run_job, shop.settings)

    assert await default.pull("aggregate-run") == []
    assert await shop.pull("aggregate-run") == [b"{}"]


async def test_events_and_aggregates_are_those_of_their_own_pipeline(pipelines: tuple[Pipeline, Pipeline]) -> None:
    default, shop = pipelines
    event = music_event(1)
    bad = {**event, "timestamp": "never"}
    await IngestPipeline(default.bigtable, CONTRACT).process(message(lines([event, bad])))
    for each in pipelines:
        await AggregatePipeline(each.bigtable, CONTRACT, cpu=1).run(DAY)

    def counts(client: BigTableClient) -> tuple[int, int]:
        events = client.get_user_events(event["userId"], datetime(2024, 1, 1, tzinfo=UTC))
        return len(events), client.get_daily_aggregates("all", "all", DAY).get("total_events", 0)

    assert await asyncio.to_thread(counts, default.client) == (1, 1)
    assert await asyncio.to_thread(counts, shop.client) == (0, 0)
    rejected = [[event async for event in RejectedTable(each.bigtable).of_day(None)] for each in pipelines]
    assert list(map(len, rejected)) == [1, 0]


@pytest.mark.slow
async def test_dead_letters_are_replayed_by_their_own_pipeline(pipelines: tuple[Pipeline, Pipeline]) -> None:
    default, shop = pipelines
    letter = PubsubMessage(data=lines([music_event(1)]))
    looked_at = []
    async with Publisher(default.settings) as publisher:
        await publisher.publish(default.settings.resource("events-dead-letter"), [letter])
    for each in (shop, default):
        kept = each.settings.resource("events-dead-letter-keep")
        async with Publisher(each.settings) as publisher, Subscriber(each.settings, kept) as subscriber:
            looked_at.append((await replay_dead_letters(subscriber, publisher, each.bigtable, CONTRACT)).looked_at)

    assert looked_at == [0, 1]
    assert await shop.pull("events-ingest") == []
    assert await default.pull("events-ingest") == [letter.data]


async def test_a_teardown_leaves_the_other_pipeline(pipelines: tuple[Pipeline, Pipeline]) -> None:
    default, shop = pipelines

    removed = await asyncio.to_thread(remove_resources, shop.settings, tables=True)

    assert len(removed) == 11
    assert all(line.split()[2].startswith("shop-") for line in removed)
    with Provisioning(default.settings) as provisioning:
        assert provisioning.changes == []
    with Provisioning(shop.settings) as provisioning:
        assert {change.action for change in provisioning.changes} == {"create"}
