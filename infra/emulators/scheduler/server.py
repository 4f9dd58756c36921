"""The server of the scheduler, and its connection to Pub/Sub."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
from google.api_core import exceptions
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.types import PublishRequest, PubsubMessage

from infra.emulators.clock import Clock
from infra.emulators.database import open_database
from infra.emulators.errors import ApiError
from infra.emulators.scheduler.runner import Publish
from infra.emulators.scheduler.service import Service

# Seconds for one attempt. Cloud Scheduler has no setting for it if the target is a topic.
_ATTEMPT_TIMEOUT = 60.0
# Reconnect within a second; the default of gRPC is up to 120 seconds.
_CHANNEL_OPTIONS = [("grpc.max_reconnect_backoff_ms", 1000)]
# Refuse a port that is in use; by default two servers would share its calls.
_SERVER_OPTIONS = [("grpc.so_reuseport", 0)]


@asynccontextmanager
async def publisher(emulator: str) -> AsyncIterator[Publish]:
    """Connect to the Pub/Sub emulator at `host:port`."""
    async with grpc.aio.insecure_channel(emulator, options=_CHANNEL_OPTIONS) as channel:
        client = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))

        async def publish(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
            message = PubsubMessage(data=data, attributes=dict(attributes))
            request = PublishRequest(topic=topic, messages=[message])
            # Without the client's own retries: the retry configuration of the job applies.
            try:
                await client.publish(request=request, timeout=_ATTEMPT_TIMEOUT, retry=None)
            except exceptions.GoogleAPICallError as error:
                raise ApiError(error.grpc_status_code or grpc.StatusCode.UNKNOWN, str(error.message)) from None

        yield publish


@asynccontextmanager
async def serving(
    publish: Publish, clock: Clock, *, port: int = 0, database: sqlite3.Connection | None = None
) -> AsyncIterator[int]:
    """Serve on a local port inside an `async with` block; yields the port, a free one for 0.

    Args:
        publish: publishes the messages of jobs with a Pub/Sub target.
        clock: the time of the schedules.
        port: the port.
        database: keeps the jobs; by default one in memory.

    Raises:
        OSError: the port is in use.
    """
    server = grpc.aio.server(options=_SERVER_OPTIONS)
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError as error:
        raise OSError(f"port {port}: {error}") from None
    connection = database or open_database()
    service = Service(publish, clock, connection)
    server.add_generic_rpc_handlers(service.handlers())
    service.start()
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(grace=1.0)
        await service.close()
        if connection is not database:
            connection.close()
