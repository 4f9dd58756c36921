"""Deliver the messages of one subscription to a function: pull, post as a push, acknowledge or nack."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from google.api_core import exceptions
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.types import PullRequest, PullResponse, SeekRequest

from infra.emulators import latency
from infra.emulators.pubsub.delivery.push_body import push_body

_CALL_TIMEOUT = 30.0
# Seconds for posts in flight at the end; within the 8 that the supervisor of the local stack gives, and Cloud Run's 10.
_GRACE = 6.0
_LAST_CALLS = 1.5
# Seconds between pulls, doubling from the first to the second number: after an empty response, and after an error.
_IDLE_BACKOFF = (0.01, 0.16)
_ERROR_BACKOFF = (0.1, 2.0)
# Seconds without a message until the relay seeks back, doubling too; and the least number of seconds since a nack.
# A seek makes the emulator forget messages in their retry backoff, and those to be dead-lettered, until the next seek.
_SEEK_BACKOFF = (1.0, 60.0)
_SEEK_AFTER_NACK = 10.0
# As long as the emulator keeps messages.
_RETENTION = timedelta(days=7)
# Messages in one pull, the most that Pub/Sub returns.
_MAX_PULL = 1_000
_HEADERS = {"content-type": "application/json"}
_MAX_ACK_IDS = 2_500  # in a request, as in Google's own client; a request is limited to 512 KB


@dataclass(frozen=True, slots=True)
class Route:
    """A subscription and the function that gets its messages.

    Attributes:
        url: address of the function.
        outstanding: most messages posted at once; None uses that of RelayLimits.
    """

    subscription: str
    url: str
    outstanding: int | None = None


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Limits of each route."""

    outstanding: int = 64  # messages posted at once; 256 are no faster (1,900 a second with both)
    ahead: int = 256  # messages pulled that wait for their post
    bytes: int = 64 << 20  # of message data, posted or waiting
    lease: int = 60  # seconds of an extension; at most the ack deadline of the subscription


class Relay:
    """Serves one route.

    Attributes:
        name: the full name of the subscription.
        counts: the messages delivered, failed, acknowledged, nacked and extended; of those delivered also the number
            per bucket of their latency since the publication.
    """

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
        self.name = f"projects/{project}/subscriptions/{route.subscription}"
        self._limits = limits
        self._waiting: asyncio.Queue[Any] = asyncio.Queue()
        self._unsettled: dict[str, int] = {}  # bytes by ack id, of messages that are neither acknowledged nor nacked
        self._unsettled_bytes = 0
        self._room = asyncio.Event()
        self._acks: list[str] = []
        self._nacks: list[str] = []
        self._last_nack = -_SEEK_AFTER_NACK
        self._results = asyncio.Event()
        self._closing = asyncio.Event()
        self._drained = False

    async def run(self, stopped: asyncio.Event) -> None:
        """Serve until `stopped`; then finish posts in flight within the grace period, and nack all other messages."""
        pull, send, extend = map(asyncio.create_task, (self._pull(), self._send_results(), self._extend()))
        outstanding = self._route.outstanding or self._limits.outstanding
        posts = [asyncio.create_task(self._post_messages()) for _ in range(outstanding)]
        stop = asyncio.create_task(stopped.wait())
        tasks = (stop, pull, send, extend, *posts)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a failed task ends the relay
            self._closing.set()
            # Let a pull end: the messages of a cancelled one come again only after their lease.
            await asyncio.wait((pull,), timeout=_LAST_CALLS / 2)
            pull.cancel()
            await self._drain()
            await asyncio.wait((send,), timeout=_LAST_CALLS / 2)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pull(self) -> None:
        """Pull messages until the relay closes, as far as the limits admit.

        The emulator (0.8.20) doesn't redeliver the messages of a killed client if the subscription has a retry policy,
        and keeps sending messages to the stream, or the waiting pull, of a client that is gone. Therefore pulls return
        immediately, and after a time without messages the relay seeks back to the unacknowledged ones.
        """
        empty_pulls = 0
        seek_after, longest_seek = _SEEK_BACKOFF
        last_message = time.monotonic()
        while not self._closing.is_set():
            if self._is_full():
                self._room.clear()
                await self._room.wait()
                continue
            request = PullRequest(
                subscription=self.name,
                max_messages=min(_MAX_PULL, self._limits.ahead - self._waiting.qsize()),
                return_immediately=True,
            )
            shortest, longest = _IDLE_BACKOFF
            try:
                response = await self._subscriber.pull(request, retry=None, timeout=_CALL_TIMEOUT)
                received = PullResponse.pb(response).received_messages
                if received:
                    last_message, seek_after = time.monotonic(), _SEEK_BACKOFF[0]
                elif self._may_seek(last_message + seek_after):
                    await self._seek_back()
                    last_message, seek_after = time.monotonic(), min(2 * seek_after, longest_seek)
            except exceptions.GoogleAPICallError as error:
                self.counts["pulls failed"] += 1
                print(f"{self._route.subscription}: pull failed: {error.message}", flush=True)
                received = []
                shortest, longest = _ERROR_BACKOFF
            for each in received:
                self._unsettled[each.ack_id] = len(each.message.data)
                self._unsettled_bytes += len(each.message.data)
                self._waiting.put_nowait(each)
            empty_pulls = 0 if received else empty_pulls + 1
            if empty_pulls:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), min(shortest * 2 ** min(empty_pulls - 1, 9), longest))

    def _is_full(self) -> bool:
        return self._waiting.qsize() >= self._limits.ahead or self._unsettled_bytes >= self._limits.bytes

    def _may_seek(self, earliest: float) -> bool:
        is_idle = not self._unsettled and not self._acks
        return is_idle and time.monotonic() > max(earliest, self._last_nack + _SEEK_AFTER_NACK)

    async def _seek_back(self) -> None:
        request = SeekRequest(subscription=self.name, time=datetime.now(UTC) - _RETENTION)
        await self._subscriber.seek(request, retry=None, timeout=_CALL_TIMEOUT)

    async def _post_messages(self) -> None:
        """Post one message after the other, until cancelled."""
        while True:
            received = await self._waiting.get()
            body = push_body(received.message, self.name, received.delivery_attempt)
            try:
                async with self._http.post(self._route.url, data=body, headers=_HEADERS) as response:
                    await response.read()
                    delivered = 200 <= response.status < 300
            except (aiohttp.ClientError, TimeoutError, OSError):
                delivered = False
            self.counts["delivered" if delivered else "failed"] += 1
            if delivered:
                published = received.message.publish_time.ToNanoseconds() / 1e9
                self.counts[latency.bucket(time.time() - published)] += 1
            self._settle(received.ack_id, acknowledge=delivered)

    def _settle(self, ack_id: str, *, acknowledge: bool) -> None:
        size = self._unsettled.pop(ack_id, None)
        if size is None:
            return  # nacked by `_drain` while its post was in flight
        self._unsettled_bytes -= size
        (self._acks if acknowledge else self._nacks).append(ack_id)
        if not acknowledge:
            self._last_nack = time.monotonic()
        self._room.set()
        self._results.set()

    async def _send_results(self) -> None:
        """Acknowledge and nack; a call takes all messages settled during the call before it."""
        while not (self._drained and not self._acks and not self._nacks):
            await self._results.wait()
            self._results.clear()
            acks, nacks, self._acks, self._nacks = self._acks, self._nacks, [], []
            await self._send("acknowledged", acks, self._subscriber.acknowledge)
            await self._send("nacked", nacks, self._subscriber.modify_ack_deadline, ack_deadline_seconds=0)

    async def _extend(self) -> None:
        """Extend the lease of every unsettled message, until cancelled."""
        while True:
            await asyncio.sleep(self._limits.lease / 3)
            extend, lease = self._subscriber.modify_ack_deadline, self._limits.lease
            await self._send("extended", list(self._unsettled), extend, ack_deadline_seconds=lease)

    async def _send(
        self, result: str, ack_ids: list[str], call: Callable[..., Awaitable[None]], **arguments: int
    ) -> None:
        for start in range(0, len(ack_ids), _MAX_ACK_IDS):
            some = ack_ids[start : start + _MAX_ACK_IDS]
            try:
                await call(subscription=self.name, ack_ids=some, timeout=_CALL_TIMEOUT, **arguments)
                self.counts[result] += len(some)
            except exceptions.GoogleAPICallError as error:
                # Pub/Sub redelivers these messages when their lease ends.
                text = f"{len(some)} messages couldn't be {result}: {error.message}"
                print(f"{self._route.subscription}: {text}", flush=True)

    async def _drain(self) -> None:
        """Nack waiting messages at once, and posts in flight after the grace period."""
        while not self._waiting.empty():
            self._settle(self._waiting.get_nowait().ack_id, acknowledge=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                while self._unsettled:
                    self._room.clear()
                    await self._room.wait()
        for ack_id in list(self._unsettled):
            self._settle(ack_id, acknowledge=False)
        self._drained = True
        self._results.set()
