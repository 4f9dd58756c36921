"""Relay messages as Pub/Sub pushes them: pull, post to functions, acknowledge those answered 2xx.

Google's emulator (0.8.20) pushes one or two messages of a subscription at once. With 50 ms a message it delivered 2,188
of 3,000 messages in 60 s; the relay posts 64 at once.

python -m infra.local.relay --project my-project --route events-ingest=http://127.0.0.1:8080/
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import aiohttp
import click
import grpc
import msgspec
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from infra.local.relay.delivery import Relay, RelayLimits, Route

# The longest timeout of a push, its ack deadline (https://cloud.google.com/pubsub/docs/push).
_POST_TIMEOUT = aiohttp.ClientTimeout(total=600)
# Shorter than the 2 s after which gunicorn closes an idle connection: a post at the moment of the close fails.
_KEEP_ALIVE = 1.0
_WRITE_COUNTS_EVERY = 0.05
# Reconnect within a second of the server's return; gRPC by default waits up to 120 s.
_CHANNEL = [("grpc.max_receive_message_length", -1), ("grpc.max_reconnect_backoff_ms", 1000)]


async def serve(
    emulator: str, project: str, routes: Sequence[Route], limits: RelayLimits, stats: Path | None = None
) -> None:
    """Serve routes until SIGTERM or SIGINT; write counts by the name of the subscription to the JSON file `stats`."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE)
    async with (
        grpc.aio.insecure_channel(emulator, options=_CHANNEL) as channel,
        aiohttp.ClientSession(timeout=_POST_TIMEOUT, connector=connector) as http,
    ):
        subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        relays = [Relay(subscriber, http, project, route, limits) for route in routes]
        writer = asyncio.create_task(_write_counts(stats, relays))
        try:
            async with asyncio.TaskGroup() as group:
                for relay in relays:
                    group.create_task(relay.run(stopped))
        finally:
            writer.cancel()


async def _write_counts(path: Path | None, relays: Sequence[Relay]) -> None:
    """Write the counts whenever they have changed, until cancelled."""
    written: bytes | None = None
    while path is not None:
        counts = {relay.name: relay.counts for relay in relays}
        text = msgspec.json.encode(counts)
        if text != written:
            temporary = path.with_suffix(".new")
            temporary.write_bytes(text)
            temporary.replace(path)  # atomic: a reader never sees a partial file
            written = text
        await asyncio.sleep(_WRITE_COUNTS_EVERY)


class _RouteType(click.ParamType[Route]):
    name = "SUBSCRIPTION[:OUTSTANDING]=URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Route:
        found = re.fullmatch(r"([^:=]+)(?::([1-9]\d{0,2}))?=(http.+)", value)
        if not found:
            self.fail(f"found {value!r}, expected for example events-ingest=http://127.0.0.1:8080/", param, ctx)
        subscription, outstanding, url = found.groups()
        return Route(subscription, url, int(outstanding) if outstanding else None)


@click.command()
@click.option("--emulator", default=lambda: os.environ.get("PUBSUB_EMULATOR_HOST"), help="[$PUBSUB_EMULATOR_HOST]")
@click.option("--project", required=True)
@click.option("--route", "routes", type=_RouteType(), multiple=True, required=True)
@click.option("--outstanding", type=click.IntRange(1, 1_000), default=RelayLimits().outstanding, show_default=True)
@click.option("--bytes", type=click.IntRange(1), default=RelayLimits().bytes, show_default=True)
@click.option("--lease", type=click.IntRange(10, 600), default=RelayLimits().lease, show_default=True)
@click.option("--stats", type=click.Path(path_type=Path), help="JSON file for the counts, by subscription.")
def main(emulator: str | None, project: str, routes: tuple[Route, ...], stats: Path | None, **limits: int) -> None:
    """Deliver the messages of subscriptions to functions, as Pub/Sub pushes them."""
    if not emulator:
        raise click.UsageError("PUBSUB_EMULATOR_HOST (or --emulator): found nothing, expected host:port")
    asyncio.run(serve(emulator, project, routes, RelayLimits(**limits), stats))


if __name__ == "__main__":
    main()
