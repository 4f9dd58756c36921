"""Deliver messages as Eventarc does: pull them, post CloudEvents to functions, acknowledge what is answered 2xx.

python -m infra.relay --project my-project --route events-ingest:events=http://127.0.0.1:8080/
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
import grpc
import msgspec
from google.api_core import exceptions
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import ReceivedMessage, StreamingPullRequest

# Longer than an event function may take, which is 540 s (https://cloud.google.com/functions/docs/configuring/timeout).
_POST_TIMEOUT = aiohttp.ClientTimeout(total=600)
# Seconds. Short, and extended while a post is under way, so that what a killed relay held is delivered again soon.
_LEASE, _EXTEND_EVERY = 10, 4.0  # 10 is the least there is
_CALL_TIMEOUT = 30.0
# Seconds; within the 8 that the supervisor of the local stack gives, and Cloud Run's 10.
_GRACE = 6.0
_RECONNECT = 0.2
_STATS_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Route:
    """From a subscription, which is of a topic, to a function's address."""

    subscription: str
    topic: str
    url: str


class Relay:
    """Serves one route."""

    def __init__(
        self, subscriber: SubscriberAsyncClient, http: aiohttp.ClientSession, project: str, route: Route, most: int
    ) -> None:
        """Prepare a route.

        Args:
            subscriber: Google's client.
            http: posts the events.
            project: of topic and subscription.
            route: what goes where.
            most: messages under way at once.
        """
        self.counts: Counter[str] = Counter()
        self._stop = asyncio.Event()
        self._subscriber = subscriber
        self._http = http
        self._route = route
        self._name = f"projects/{project}/subscriptions/{route.subscription}"
        self._source = f"//pubsub.googleapis.com/projects/{project}/topics/{route.topic}"
        self._most = most
        self._slots = asyncio.Semaphore(most)
        self._posts: dict[asyncio.Task[None], str] = {}  # with the ack id of each
        self._acks: list[str] = []
        self._nacks: list[str] = []
        self._answered = asyncio.Event()

    async def pull(self) -> None:
        """Take messages until stopped; a stream that breaks is opened again."""
        while not self._stop.is_set():
            try:
                async for received in await self._subscriber.streaming_pull(requests=self._requests()):
                    for message in received.received_messages:
                        await self._slots.acquire()
                        post = asyncio.create_task(self._deliver(message))
                        self._posts[post] = message.ack_id
                        post.add_done_callback(self._posts.pop)
            except exceptions.GoogleAPICallError as error:
                self.counts["streams broken"] += 1
                print(f"{self._route.subscription}: the stream broke: {error.message}", flush=True)
            await asyncio.sleep(random.uniform(0, _RECONNECT))  # noqa: S311 - only spreads the calls

    async def answer(self) -> None:
        """Tell Pub/Sub what became of messages, many in a call: whatever gathered while the last call was made."""
        while not (self._stop.is_set() and not self._posts and not self._acks and not self._nacks):
            if not self._acks and not self._nacks:
                self._answered.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._answered.wait(), _RECONNECT)
                continue
            acks, self._acks = self._acks, []
            nacks, self._nacks = self._nacks, []
            try:
                if acks:
                    await self._subscriber.acknowledge(subscription=self._name, ack_ids=acks, timeout=_CALL_TIMEOUT)
                    self.counts["acknowledged"] += len(acks)
                if nacks:
                    await self._subscriber.modify_ack_deadline(
                        subscription=self._name, ack_ids=nacks, ack_deadline_seconds=0, timeout=_CALL_TIMEOUT
                    )
                    self.counts["handed back"] += len(nacks)
            except exceptions.GoogleAPICallError as error:
                # Not told, they come again when their deadline passes, as with Eventarc.
                print(f"{self._route.subscription}: answers are lost: {error.message}", flush=True)

    def stop(self) -> None:
        """Take no more messages.

        The stream is closed, not cancelled: the emulator goes on sending messages into a cancelled one for a while.
        """
        self._stop.set()

    async def extend(self) -> None:
        """Keep what is under way from being delivered again, until cancelled."""
        while True:
            await asyncio.sleep(_EXTEND_EVERY)
            held = list(self._posts.values())
            try:
                if held:
                    await self._subscriber.modify_ack_deadline(
                        subscription=self._name, ack_ids=held, ack_deadline_seconds=_LEASE, timeout=_CALL_TIMEOUT
                    )
            except exceptions.GoogleAPICallError as error:
                print(f"{self._route.subscription}: leases aren't extended: {error.message}", flush=True)

    async def _requests(self) -> AsyncIterator[StreamingPullRequest]:
        yield StreamingPullRequest(
            subscription=self._name,
            stream_ack_deadline_seconds=_LEASE,
            max_outstanding_messages=self._most,
        )
        await self._stop.wait()  # the stream lasts as long as its requests

    async def _deliver(self, received: ReceivedMessage) -> None:
        try:
            headers, body = self._cloud_event(received)
            async with self._http.post(self._route.url, data=body, headers=headers) as response:
                await response.read()
                good = 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            good = False
        finally:
            self._slots.release()
        self.counts["delivered" if good else "failed"] += 1
        (self._acks if good else self._nacks).append(received.ack_id)
        self._answered.set()

    def _cloud_event(self, received: ReceivedMessage) -> tuple[dict[str, str], bytes]:
        """Return headers and body of the binary-mode CloudEvent that Eventarc makes of a message."""
        message = ReceivedMessage.pb(received).message
        published = message.publish_time.ToJsonString()
        content: dict[str, Any] = {
            "data": base64.b64encode(message.data).decode(),
            "attributes": dict(message.attributes),
            "messageId": message.message_id,
            "message_id": message.message_id,
            "publishTime": published,
            "publish_time": published,
        }
        if message.ordering_key:
            content["orderingKey"] = message.ordering_key
        body: dict[str, Any] = {"message": content, "subscription": self._name}
        if received.delivery_attempt:
            body["deliveryAttempt"] = received.delivery_attempt
        headers = {
            "ce-id": message.message_id,
            "ce-source": self._source,
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
            "ce-time": published,
            "content-type": "application/json",
        }
        return headers, msgspec.json.encode(body)


async def serve(emulator: str, project: str, routes: list[Route], most: int, stats: Path | None) -> None:
    """Serve routes until SIGTERM or SIGINT; then finish what is under way, as far as it ends soon.

    Args:
        emulator: `host:port` of Pub/Sub's emulator.
        project: of all routes.
        routes: what goes where.
        most: messages of a route under way at once.
        stats: a JSON file to keep the counts in, by subscription.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        grpc.aio.insecure_channel(emulator, options=[("grpc.max_receive_message_length", -1)]) as channel,
        aiohttp.ClientSession(timeout=_POST_TIMEOUT, connector=connector) as http,
    ):
        subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        relays = [Relay(subscriber, http, project, route, most) for route in routes]
        pulls = [asyncio.create_task(relay.pull()) for relay in relays]
        answers = [asyncio.create_task(relay.answer()) for relay in relays]
        others = [asyncio.create_task(relay.extend()) for relay in relays]
        others.append(asyncio.create_task(_keep_stats(stats, routes, relays)))
        await stopped.wait()
        for relay in relays:
            relay.stop()
        await asyncio.wait([*pulls, *answers], timeout=_GRACE)
        for task in (*pulls, *answers, *others):
            task.cancel()
        await asyncio.gather(*pulls, *answers, *others, return_exceptions=True)


async def _keep_stats(path: Path | None, routes: list[Route], relays: list[Relay]) -> None:
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
    name = "SUBSCRIPTION:TOPIC=URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Route:
        if isinstance(value, Route):
            return value
        names, _, url = value.partition("=")
        subscription, _, topic = names.partition(":")
        if not (subscription and topic and url.startswith("http")):
            self.fail(f"found {value!r}, expected for example events-ingest:events=http://127.0.0.1:8080/", param, ctx)
        return Route(subscription, topic, url)


@click.command()
@click.option("--emulator", default=lambda: os.environ.get("PUBSUB_EMULATOR_HOST"), help="[$PUBSUB_EMULATOR_HOST]")
@click.option("--project", required=True)
@click.option("--route", "routes", type=_RouteType(), multiple=True, required=True)
@click.option("--outstanding", type=click.IntRange(1, 1_000), default=64, show_default=True, help="Of each route.")
@click.option("--stats", type=click.Path(path_type=Path), help="A JSON file to keep the counts in.")
def main(emulator: str | None, project: str, routes: tuple[Route, ...], outstanding: int, stats: Path | None) -> None:
    """Deliver the messages of subscriptions to functions as CloudEvents, as Eventarc does."""
    if not emulator:
        raise click.UsageError("PUBSUB_EMULATOR_HOST (or --emulator): found nothing, expected host:port")
    asyncio.run(serve(emulator, project, list(routes), outstanding, stats))


if __name__ == "__main__":
    main()
