"""The scheduler as a server: a port that answers, and a connection to publish by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.types import PublishRequest, PubsubMessage

from infra.emulators.scheduler.clock import Clock
from infra.emulators.scheduler.runner import Publish, Runner
from infra.emulators.scheduler.service import Service

# Seconds for one attempt. Cloud Scheduler has no setting for it where the target is a topic.
_ATTEMPT = 60.0
# A server that is back is noticed after a second; gRPC by itself waits up to 120.
_CHANNEL = [("grpc.max_reconnect_backoff_ms", 1000)]
# Two servers on one port would each get some of the calls.
_SERVER = [("grpc.so_reuseport", 0)]


@asynccontextmanager
async def publisher(emulator: str) -> AsyncIterator[Publish]:
    """Connect to Pub/Sub's emulator at `host:port`."""
    async with grpc.aio.insecure_channel(emulator, options=_CHANNEL) as channel:
        client = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))

        async def publish(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
            message = PubsubMessage(data=data, attributes=dict(attributes))
            # Without the client's own retries: whether and when to try again is what a job's configuration says.
            await client.publish(request=PublishRequest(topic=topic, messages=[message]), timeout=_ATTEMPT, retry=None)

        yield publish


@asynccontextmanager
async def serving(publish: Publish, clock: Clock, *, port: int = 0) -> AsyncIterator[int]:
    """Serve on a port of this machine for the time of an `async with` block, and give the port, a free one for 0.

    Raises:
        OSError: the port is taken.
    """
    server = grpc.aio.server(options=_SERVER)
    service = Service(Runner(publish, clock), clock)
    server.add_generic_rpc_handlers([service.handler()])
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError as error:
        raise OSError(f"port {port}: {error}") from None
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(grace=1.0)
        service.close()
