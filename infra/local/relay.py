"""Deliver messages as Eventarc does: pull them, post CloudEvents to functions, acknowledge what is answered 2xx.

python -m infra.local.relay --project my-project --route events-ingest:events=http://127.0.0.1:8080/
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import aiohttp
import click
import grpc
import msgspec
from google.api_core import exceptions
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import PullRequest, PullResponse, SeekRequest

from infra.local.eventarc import cloud_event

# Longer than an event function may take, which is 540 s (https://cloud.google.com/functions/docs/configuring/timeout).
_POST_TIMEOUT = aiohttp.ClientTimeout(total=600)
# Shorter than the 2 s after which gunicorn closes an idle connection: a post on one that closes at that moment fails.
_KEEP_ALIVE = 1.0
_CALL_TIMEOUT = 30.0
# Seconds; within the 8 that the supervisor of the local stack gives, and Cloud Run's 10.
_GRACE = 6.0
_LAST_CALLS = 1.5
# Seconds until the next pull when there was nothing, or no answer, doubling from the first to the second.
_IDLE = (0.01, 0.16)
_AWAY = (0.1, 2.0)
# Seconds without a message until the relay seeks back, doubling too; and since one was handed back. What waits for its
# next delivery at that moment, or for the dead letters, is forgotten until the time after.
_QUIET = (1.0, 60.0)
_PAUSE = 10.0
_STATS_EVERY = 0.05
# As long as the emulator keeps messages.
_RETENTION = timedelta(days=7)
# Messages in one pull, the most that Pub/Sub gives.
_PULL = 1_000
_IDS_PER_CALL = 2_500  # as Google's own client does; a request may have 512 KB
# A server that is back is noticed after a second; gRPC by itself waits up to 120.
_CHANNEL = [("grpc.max_receive_message_length", -1), ("grpc.max_reconnect_backoff_ms", 1000)]


@dataclass(frozen=True, slots=True)
class Route:
    """From a subscription, which is of a topic, to a function's address.

    Attributes:
        outstanding: messages posted at once, where they may be fewer than of other routes.
    """

    subscription: str
    topic: str
    url: str
    outstanding: int | None = None


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Of each route."""

    outstanding: int = 64  # messages posted at once; 256 are no faster (1,900 a second, both)
    ahead: int = 256  # messages that wait to be posted
    bytes: int = 64 << 20  # of the data of messages that are posted or wait for it
    lease: int = 60  # seconds by which to extend; no more than the subscription's own deadline for an answer


class Relay:
    """Serves one route."""

    def __init__(
        self,
        subscriber: SubscriberAsyncClient,
        http: aiohttp.ClientSession,
        project: str,
        route: Route,
        limits: RelayLimits,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._subscriber = subscriber
        self._http = http
        self._route = route
        self._name = f"projects/{project}/subscriptions/{route.subscription}"
        self._source = f"//pubsub.googleapis.com/projects/{project}/topics/{route.topic}"
        self._limits = limits
        self._waiting: asyncio.Queue[Any] = asyncio.Queue()
        self._open: dict[str, int] = {}  # what nothing is decided about: ack id and bytes
        self._open_bytes = 0
        self._decided = asyncio.Event()
        self._acks: list[str] = []
        self._nacks: list[str] = []
        self._nacked = -_PAUSE
        self._untold = asyncio.Event()
        self._closing = asyncio.Event()
        self._finished = False

    async def run(self, stopped: asyncio.Event) -> None:
        """Serve until `stopped`; then finish what is posted, as far as it ends soon, and hand back the rest."""
        pull, answer, extend = map(asyncio.create_task, (self._pull(), self._answer(), self._extend()))
        outstanding = self._route.outstanding or self._limits.outstanding
        posts = [asyncio.create_task(self._post_on()) for _ in range(outstanding)]
        stop = asyncio.create_task(stopped.wait())
        tasks = (stop, pull, answer, extend, *posts)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # one that failed ends the relay, so that whoever started it notices
            self._closing.set()
            await asyncio.wait((pull,), timeout=_LAST_CALLS / 2)  # what a cancelled pull brings comes after its lease
            pull.cancel()
            await self._finish()
            await asyncio.wait((answer,), timeout=_LAST_CALLS / 2)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pull(self) -> None:
        """Take messages until the relay closes, as many as there is room for.

        What the emulator (0.8.20) has given to a client that was killed it doesn't give again where the subscription
        has a retry policy, and it goes on giving to the stream, or the waiting pull, of a client that is gone. So
        pulls return at once, and when nothing has come for a while the relay seeks back to what nobody acknowledged.
        """
        pauses = 0
        quiet, longest_quiet = _QUIET
        since = time.monotonic()
        while not self._closing.is_set():
            if self._is_full():
                self._decided.clear()
                await self._decided.wait()
                continue
            request = PullRequest(
                subscription=self._name,
                max_messages=min(_PULL, self._limits.ahead - self._waiting.qsize()),
                return_immediately=True,
            )
            shortest, longest = _IDLE
            try:
                response = await self._subscriber.pull(request, retry=None, timeout=_CALL_TIMEOUT)
                received = PullResponse.pb(response).received_messages
                if received:
                    since, quiet = time.monotonic(), _QUIET[0]
                elif not (self._open or self._acks) and time.monotonic() > max(since + quiet, self._nacked + _PAUSE):
                    await self._seek_back()
                    since, quiet = time.monotonic(), min(2 * quiet, longest_quiet)
            except exceptions.GoogleAPICallError as error:
                self.counts["pulls failed"] += 1
                print(f"{self._route.subscription}: nothing can be pulled: {error.message}", flush=True)
                received = []
                shortest, longest = _AWAY
            for each in received:
                self._open[each.ack_id] = len(each.message.data)
                self._open_bytes += len(each.message.data)
                self._waiting.put_nowait(each)
            pauses = 0 if received else pauses + 1
            if pauses:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), min(shortest * 2 ** min(pauses - 1, 9), longest))

    async def _seek_back(self) -> None:
        request = SeekRequest(subscription=self._name, time=datetime.now(UTC) - _RETENTION)
        await self._subscriber.seek(request, retry=None, timeout=_CALL_TIMEOUT)

    def _is_full(self) -> bool:
        return self._waiting.qsize() >= self._limits.ahead or self._open_bytes >= self._limits.bytes

    async def _answer(self) -> None:
        """Tell Pub/Sub what became of messages, many in a call: whatever gathered while the last call was made."""
        while not (self._finished and not self._acks and not self._nacks):
            await self._untold.wait()
            self._untold.clear()
            acks, nacks, self._acks, self._nacks = self._acks, self._nacks, [], []
            await self._tell("acknowledged", acks, self._subscriber.acknowledge)
            await self._tell("handed back", nacks, self._subscriber.modify_ack_deadline, ack_deadline_seconds=0)

    async def _extend(self) -> None:
        """Keep what is in memory from being delivered again, until cancelled."""
        while True:
            await asyncio.sleep(self._limits.lease / 3)
            extend, lease = self._subscriber.modify_ack_deadline, self._limits.lease
            await self._tell("extended", list(self._open), extend, ack_deadline_seconds=lease)

    async def _tell(self, what: str, ack_ids: list[str], call: Callable[..., Awaitable[None]], **more: int) -> None:
        for start in range(0, len(ack_ids), _IDS_PER_CALL):
            some = ack_ids[start : start + _IDS_PER_CALL]
            try:
                await call(subscription=self._name, ack_ids=some, timeout=_CALL_TIMEOUT, **more)
                self.counts[what] += len(some)
            except exceptions.GoogleAPICallError as error:
                # Not told, they come again when their lease ends.
                print(f"{self._route.subscription}: what was {what} isn't told: {error.message}", flush=True)

    async def _finish(self) -> None:
        """Hand back what waits at once, and what is being posted after the grace."""
        while not self._waiting.empty():
            self._decide(self._waiting.get_nowait().ack_id, good=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                while self._open:
                    self._decided.clear()
                    await self._decided.wait()
        for ack_id in list(self._open):
            self._decide(ack_id, good=False)
        self._finished = True
        self._untold.set()

    def _decide(self, ack_id: str, *, good: bool) -> None:
        size = self._open.pop(ack_id, None)
        if size is not None:  # else it was handed back while its post was under way
            self._open_bytes -= size
            (self._acks if good else self._nacks).append(ack_id)
            self._nacked = self._nacked if good else time.monotonic()
            self._decided.set()
            self._untold.set()

    async def _post_on(self) -> None:
        """Post one message after the other."""
        while True:
            received = await self._waiting.get()
            headers, body = cloud_event(received, self._name, self._source)
            try:
                async with self._http.post(self._route.url, data=body, headers=headers) as response:
                    await response.read()
                    good = 200 <= response.status < 300
            except (aiohttp.ClientError, TimeoutError, OSError):
                good = False
            self.counts["delivered" if good else "failed"] += 1
            self._decide(received.ack_id, good=good)


async def serve(
    emulator: str, project: str, routes: Sequence[Route], limits: RelayLimits, stats: Path | None = None
) -> None:
    """Serve routes until SIGTERM or SIGINT; `stats` is a JSON file to keep the counts in, by subscription."""
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
        writer = asyncio.create_task(_keep_stats(stats, routes, relays))
        try:
            async with asyncio.TaskGroup() as group:
                for relay in relays:
                    group.create_task(relay.run(stopped))
        finally:
            writer.cancel()


async def _keep_stats(path: Path | None, routes: Sequence[Route], relays: Sequence[Relay]) -> None:
    told: bytes | None = None
    while path is not None:
        counts = {route.subscription: relay.counts for route, relay in zip(routes, relays, strict=True)}
        text = msgspec.json.encode(counts)
        if text != told:
            beside = path.with_suffix(".new")
            beside.write_bytes(text)
            beside.replace(path)  # a reader sees the old or the new, never a part
            told = text
        await asyncio.sleep(_STATS_EVERY)


class _RouteType(click.ParamType[Route]):
    name = "SUBSCRIPTION:TOPIC[:OUTSTANDING]=URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Route:
        found = re.fullmatch(r"([^:=]+):([^:=]+)(?::([1-9]\d{0,2}))?=(http.+)", value)
        if not found:
            self.fail(f"found {value!r}, expected for example events-ingest:events=http://127.0.0.1:8080/", param, ctx)
        subscription, topic, outstanding, url = found.groups()
        return Route(subscription, topic, url, int(outstanding) if outstanding else None)


@click.command()
@click.option("--emulator", default=lambda: os.environ.get("PUBSUB_EMULATOR_HOST"), help="[$PUBSUB_EMULATOR_HOST]")
@click.option("--project", required=True)
@click.option("--route", "routes", type=_RouteType(), multiple=True, required=True)
@click.option("--outstanding", type=click.IntRange(1, 1_000), default=RelayLimits().outstanding, show_default=True)
@click.option("--bytes", type=click.IntRange(1), default=RelayLimits().bytes, show_default=True)
@click.option("--lease", type=click.IntRange(10, 600), default=RelayLimits().lease, show_default=True)
@click.option("--stats", type=click.Path(path_type=Path), help="A JSON file to keep the counts in.")
def main(emulator: str | None, project: str, routes: tuple[Route, ...], stats: Path | None, **limits: int) -> None:
    """Deliver the messages of subscriptions to functions as CloudEvents, as Eventarc does."""
    if not emulator:
        raise click.UsageError("PUBSUB_EMULATOR_HOST (or --emulator): found nothing, expected host:port")
    asyncio.run(serve(emulator, project, routes, RelayLimits(**limits), stats))


if __name__ == "__main__":
    main()
