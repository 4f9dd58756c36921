"""The embedded Pub/Sub engine under test, with a manual clock and Google's clients."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import ReceivedMessage, Subscription

from infra.emulators.clock import Clock
from infra.emulators.database import open_database
from infra.emulators.pubsub.service import PubSubService
from tests.support.clock import ManualClock

TOPIC = "projects/p/topics/events"
NAME = "projects/p/subscriptions/events-ingest"
DEAD_LETTERS = "projects/p/topics/dead-letters"
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@dataclass
class Local:
    """The engine under test."""

    service: PubSubService
    clock: Any
    publisher: Any
    subscriber: Any
    address: str

    async def subscribe(self, name: str = NAME, *, topic: str = TOPIC, **fields: Any) -> Subscription:
        """Create a subscription, and its topic if it doesn't exist."""
        if topic not in [each.name async for each in await self.publisher.list_topics(project="projects/p")]:
            await self.publisher.create_topic(name=topic)
        return await self.subscriber.create_subscription(request={"name": name, "topic": topic, **fields})

    async def publish(self, *data: str, topic: str = TOPIC, key: str = "", **attributes: str) -> list[str]:
        """Publish messages in one request."""
        messages = [{"data": each.encode(), "attributes": attributes, "ordering_key": key} for each in data]
        return list((await self.publisher.publish(topic=topic, messages=messages)).message_ids)

    async def take(self, name: str = NAME, limit: int = 100) -> list[ReceivedMessage]:
        """Lease the messages that are ready."""
        request = {"subscription": name, "max_messages": limit, "return_immediately": True}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The return_immediately flag is deprecated")
            return list((await self.subscriber.pull(request=request)).received_messages)

    async def pull(self, name: str = NAME, limit: int = 100) -> list[str]:
        """Lease the messages that are ready and return their data."""
        return data(await self.take(name, limit))

    async def acknowledge(self, *received: ReceivedMessage, name: str = NAME) -> None:
        await self.subscriber.acknowledge(subscription=name, ack_ids=[each.ack_id for each in received])

    async def nack(self, *received: ReceivedMessage, name: str = NAME, seconds: int = 0) -> None:
        """Set the ack deadline; zero seconds nack."""
        ack_ids = [each.ack_id for each in received]
        await self.subscriber.modify_ack_deadline(subscription=name, ack_ids=ack_ids, ack_deadline_seconds=seconds)


def data(received: list[ReceivedMessage]) -> list[str]:
    """Return the data of messages."""
    return [each.message.data.decode() for each in received]


@asynccontextmanager
async def serving(
    database: sqlite3.Connection | Path | None = None,
    clock: Clock | None = None,
    limits: Mapping[str, int] | None = None,
    forget_endpoints: Collection[str] = (),
) -> AsyncIterator[Local]:
    """Serve on a free port inside an `async with` block, by default with a database in memory."""
    clock = clock or ManualClock(NOON)
    connection = database if isinstance(database, sqlite3.Connection) else open_database(database)
    service = PubSubService(connection, clock, limits, forget_endpoints)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers(service.handlers())
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await service.start()
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
            subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
            yield Local(service, clock, publisher, subscriber, address)
    finally:
        await server.stop(grace=None)
        await service.close()
        if connection is not database:
            connection.close()
