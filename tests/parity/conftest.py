"""The servers that the parity suite compares: the embedded emulators, and Google's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from infra.emulators.clock import SystemClock
from shared.config import Settings
from tests.support import bigtable_emulator
from tests.support.pubsub import Local, serving

HERE = Path(__file__).parent
PROJECT = "projects/p"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.integration)
        difference = item.get_closest_marker("google_differs")
        if difference is not None and isinstance(item, pytest.Function) and item.callspec.params["backend"] == "google":
            item.add_marker(pytest.mark.xfail(reason=difference.args[0], strict=True))


@pytest.fixture(scope="session")
async def embedded() -> AsyncIterator[str]:
    """The address of the embedded Bigtable emulator."""
    async with bigtable_emulator.serving() as address:
        yield address


@pytest.fixture(scope="session")
def google(google_emulators: Settings) -> str:
    """The address of Google's Bigtable emulator."""
    return str(google_emulators.bigtable_emulator)


@pytest.fixture(params=["embedded", "google"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def local(backend: str, request: pytest.FixtureRequest) -> AsyncIterator[Local]:
    """Clients of an empty Pub/Sub on the system clock."""
    if backend == "embedded":
        async with serving(clock=SystemClock()) as embedded:
            yield embedded
        return
    address = str(request.getfixturevalue("google_emulators").pubsub_emulator)
    async with grpc.aio.insecure_channel(address) as channel:
        publisher: Any = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        subscriber: Any = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        async for snapshot in await subscriber.list_snapshots(project=PROJECT):
            await subscriber.delete_snapshot(snapshot=snapshot.name)
        async for subscription in await subscriber.list_subscriptions(project=PROJECT):
            await subscriber.delete_subscription(subscription=subscription.name)
        async for topic in await publisher.list_topics(project=PROJECT):
            await publisher.delete_topic(topic=topic.name)
        service: Any = None
        yield Local(service, SystemClock(), publisher, subscriber, address)
