"""Push delivery: posts the messages of subscriptions to their HTTP endpoints."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.emulators import latency
from infra.emulators.clock import Alarm, Clock
from infra.emulators.errors import ApiError
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.delivery.deliveries import Consumer, Delivery
from infra.emulators.pubsub.delivery.push_requests import push_request
from infra.emulators.pubsub.messages import Message
from infra.emulators.pubsub.state import Subscription

if TYPE_CHECKING:
    import aiohttp

_log = logging.getLogger(__name__)

# https://cloud.google.com/pubsub/docs/push#receive_push
_SUCCESS = frozenset({102, 200, 201, 202, 204})
# Requests in flight for one subscription. The window grows by one with each success, and halves on failures.
_INITIAL_WINDOW = 16
MAX_WINDOW = 256
_MAX_BYTES = 64 << 20  # of messages in flight
# Seconds without requests after failures, doubling, where the subscription has no retry policy
# (https://cloud.google.com/pubsub/docs/push#push_backoff).
_PAUSE = (0.1, 60.0)
_MAX_DOUBLINGS = 10
# The lease outlasts the request, whose timeout is the ack deadline.
_LEASE_MARGIN = 5
# Acknowledged messages that are kept for inspection, and the size of the largest: together they fit into one response.
_LAST_PUSHED, _MAX_KEPT_BYTES = 10, 256 << 10
# Shorter than the 2 s after which gunicorn closes an idle connection: a request at the moment of the close fails.
_KEEP_ALIVE = 1.0


class Pushers:
    """One pusher for each subscription with an endpoint.

    Args:
        limits: the most requests in flight by name of the subscription; MAX_WINDOW for all others.

    Attributes:
        counts: messages delivered, failed and acknowledged since the start, by name of the subscription; of those
            acknowledged also the number per bucket of their latency since the publication.
        last_pushed: the last acknowledged messages by name of the subscription, oldest first; without large ones.
    """

    def __init__(self, broker: Broker, clock: Clock, limits: Mapping[str, int]) -> None:
        self._broker = broker
        self._clock = clock
        self._limits = limits
        self.counts: dict[str, Counter[str]] = {}
        self.last_pushed: dict[str, deque[Message]] = {}
        self._pushers: dict[int, Pusher] = {}
        self._http: aiohttp.ClientSession | None = None

    def update(self, subscription: Subscription) -> None:
        """Start or stop pushing, as the subscription says now."""
        wanted = bool(subscription.config.push_config.push_endpoint) and not subscription.config.detached
        if not wanted:
            self.remove(subscription)
        elif subscription.id not in self._pushers:
            limit = self._limits.get(subscription.config.name, MAX_WINDOW)
            counts = self.counts.setdefault(subscription.config.name, Counter())
            last = self.last_pushed.setdefault(subscription.config.name, deque(maxlen=_LAST_PUSHED))
            pusher = Pusher(self._broker, self._clock, subscription, self._session(), limit, counts, last)
            self._pushers[subscription.id] = pusher

    def remove(self, subscription: Subscription) -> None:
        """Stop pushing; requests in flight are cancelled, and their messages are given again."""
        pusher = self._pushers.pop(subscription.id, None)
        if pusher is not None:
            pusher.close()

    async def close(self) -> None:
        """Stop pushing everywhere."""
        for pusher in self._pushers.values():
            pusher.close()
        self._pushers.clear()
        if self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            import aiohttp  # slow to import, and only needed for push subscriptions

            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE)
            self._http = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._http


class Pusher:
    """Pushes the messages of one subscription, as many at once as the endpoint accepts."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        subscription: Subscription,
        http: aiohttp.ClientSession,
        limit: int,
        counts: Counter[str],
        last_pushed: deque[Message],
    ) -> None:
        self._broker = broker
        self._counts = counts
        self._last_pushed = last_pushed
        self._subscription = subscription
        self._http = http
        self._limit = limit
        self._window = min(_INITIAL_WINDOW, limit)
        self._failures = 0  # in a row
        self._successes_until_shrink = 0
        self._resumes = 0.0
        self._consumer = Consumer(one_per_key=True)
        self._alarm = Alarm(clock, self._consumer.woken.set)
        self._requests: set[asyncio.Task[None]] = set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """Cancel all requests."""
        self._task.cancel()
        self._alarm.cancel()
        for request in self._requests:
            request.cancel()

    async def _run(self) -> None:
        queue, consumer = self._subscription.queue, self._consumer
        try:
            while not queue.closed:
                consumer.woken.clear()
                queue.leave(consumer)
                room = self._room()
                if room > 0:
                    self._push_next(room)
                if self._room() > 0:
                    queue.enlist(consumer)
                await consumer.woken.wait()
        finally:
            queue.leave(consumer)

    def _room(self) -> int:
        """Return how many more requests may start now."""
        if self._resumes > self._broker.now():
            self._alarm.set(self._resumes)
            return 0
        return self._window - len(self._requests) if self._consumer.bytes < _MAX_BYTES else 0

    def _push_next(self, limit: int) -> None:
        lease = self._subscription.config.ack_deadline_seconds + _LEASE_MARGIN
        now = self._broker.now()
        for delivery in self._subscription.queue.take(self._consumer, limit, _MAX_BYTES, now, lease):
            request = asyncio.get_running_loop().create_task(self._push(delivery))
            self._requests.add(request)
            request.add_done_callback(self._ended)
        self._subscription.watch()

    def _ended(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        self._consumer.woken.set()

    async def _push(self, delivery: Delivery) -> None:
        queue, serial = self._subscription.queue, delivery.serial
        try:
            delivered = await self._post(delivery)
        except asyncio.CancelledError:
            queue.give_back(delivery)
            raise
        self._counts["delivered" if delivered else "failed"] += 1
        if queue.find(delivery.message.id, serial) is not delivery:
            return  # a seek, or the end of the subscription, settled it
        if not delivered:
            self._shrink()
            queue.fail(delivery, self._broker.now())
            self._subscription.watch()
            return
        self._subscription.active = self._broker.now()
        self._grow()
        try:
            await self._broker.acknowledge(self._subscription, [delivery])
        except ApiError as error:
            _log.error("%s: %s", self._subscription.config.name, error.text)
            return
        self._counts["acknowledged"] += 1
        self._counts[latency.bucket(self._broker.now() - delivery.message.published / 1e6)] += 1
        if len(delivery.message.content) <= _MAX_KEPT_BYTES:
            self._last_pushed.append(delivery.message)

    async def _post(self, delivery: Delivery) -> bool:
        import aiohttp

        config = self._subscription.config
        headers, body = push_request(config, delivery)
        timeout = aiohttp.ClientTimeout(total=config.ack_deadline_seconds)
        endpoint = config.push_config.push_endpoint
        try:
            async with self._http.post(
                endpoint, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                await response.read()
                return response.status in _SUCCESS
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.debug("%s: %r", endpoint, error)
            return False

    def _grow(self) -> None:
        self._failures = 0
        self._successes_until_shrink -= 1
        self._window = min(self._window + 1, self._limit)

    def _shrink(self) -> None:
        """Halve the window, once for the requests that are in flight together."""
        self._failures += 1
        if self._successes_until_shrink <= 0:
            self._window = max(1, self._window // 2)
        self._successes_until_shrink = self._window
        if not self._subscription.config.HasField("retry_policy"):
            shortest, longest = _PAUSE
            doublings = min(self._failures - 1, _MAX_DOUBLINGS)
            self._resumes = self._broker.now() + min(shortest * 2**doublings, longest)
