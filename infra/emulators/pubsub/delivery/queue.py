"""The unacknowledged messages of a subscription: leases, backoff, ordering keys and retention.

The queue knows no clock and no database. Times are in seconds since 1970.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from infra.emulators.pubsub.delivery.deliveries import Consumer, Delivery, Lane, State
from infra.emulators.pubsub.messages import Message

# Doublings beyond every valid maximum; the bound keeps the power small.
_MAX_DOUBLINGS = 20
# The heap of leases is cleaned when it has this many more entries than needed.
_MAX_ENDED_LEASES = 10_000


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of a queue.

    Attributes:
        ordered: whether messages with one ordering key are given in order.
        retention: seconds since the publish time until an unacknowledged message expires.
        backoff: the shortest and the longest time in seconds before the next delivery; None for no delay.
    """

    ordered: bool
    retention: float
    backoff: tuple[float, float] | None = None

    def delay(self, failures: int) -> float:
        """Return the seconds until the next delivery of a message."""
        if self.backoff is None:
            return 0.0
        shortest, longest = self.backoff
        return min(shortest * float(1 << min(failures - 1, _MAX_DOUBLINGS)), longest)


class Queue:
    """The deliveries of a subscription.

    Args:
        policy: the settings; may be replaced later.
        failed: gets every delivery that was nacked or whose lease ended; returns whether it takes over, to settle the
            delivery or `retry` it.
        first_serial: number of the first lease; higher than in earlier processes, so that their leases are known to
            have ended.
    """

    def __init__(self, policy: Policy, failed: Callable[[Delivery], bool], *, first_serial: int = 1) -> None:
        self.policy = policy
        self.closed = False
        self._failed = failed
        self._unsettled: dict[int, Delivery] = {}
        self._ready: deque[Delivery] = deque()
        self._lanes: dict[str, Lane] = {}
        self._leases: list[tuple[float, int, int, Delivery]] = []  # end, tie-breaker, serial
        self._delayed: list[tuple[float, int, Delivery | Lane]] = []
        self._waiting: dict[Consumer, None] = {}
        self._serials = count(first_serial)

    def __len__(self) -> int:
        return len(self._unsettled)

    def __iter__(self) -> Iterator[Message]:
        return (delivery.message for delivery in self._unsettled.values())

    def add(self, message: Message, failures: int = 0) -> bool:
        """Add a message, newer than all others, and return whether it wasn't there yet."""
        if message.id in self._unsettled:
            return False
        delivery = self._unsettled[message.id] = Delivery(message, failures)
        self._ready.append(delivery)
        self._wake()
        return True

    def take(self, consumer: Consumer, limit: int, max_bytes: int, now: float, lease: float) -> list[Delivery]:
        """Lease messages to a consumer: up to `limit`, and up to `max_bytes` unless the first is larger."""
        taken: list[Delivery] = []
        size = 0
        while self._ready and len(taken) < limit:
            delivery = self._ready[0]
            message = delivery.message
            lane = self._lane(message) if delivery.state is State.READY else None
            if lane is not None and not lane.admits(consumer):
                delivery.state = State.WAITING
                lane.waiting.append(delivery)
            if delivery.state is not State.READY:  # or it was settled in the meantime
                self._ready.popleft()
                continue
            size += len(message.content)
            if taken and size > max_bytes:
                break
            self._ready.popleft()
            delivery.lease(consumer, next(self._serials), now + lease)
            self._push_lease(delivery.expires, delivery)
            if lane is not None:
                lane.outstanding[message.id] = delivery
                lane.consumer = consumer
            taken.append(delivery)
        if len(self._leases) > 2 * len(self._unsettled) + _MAX_ENDED_LEASES:
            self._leases = [lease for lease in self._leases if lease[3].consumer and lease[3].serial == lease[2]]
            heapq.heapify(self._leases)
        self._wake()
        return taken

    def enlist(self, consumer: Consumer) -> None:
        """Wake a consumer when there is something to take."""
        self._waiting[consumer] = None

    def leave(self, consumer: Consumer) -> None:
        """Stop waking a consumer, and wake another one in its place."""
        self._waiting.pop(consumer, None)
        self._wake()

    def find(self, number: int, serial: int | None = None) -> Delivery | None:
        """Return an unsettled delivery by the number of its message; with `serial`, only during that lease."""
        delivery = self._unsettled.get(number)
        if delivery is None or serial is None:
            return delivery
        return delivery if delivery.state is State.LEASED and delivery.serial == serial else None

    def settle(self, delivery: Delivery) -> None:
        """Remove a delivery."""
        self._unsettled.pop(delivery.message.id, None)
        delivery.release(State.SETTLED)
        self._leave_lane(delivery)

    def restore(self, delivery: Delivery) -> None:
        """Add a settled delivery again, because the database couldn't store that it was settled."""
        self._unsettled[delivery.message.id] = delivery
        self._unsettled = dict(sorted(self._unsettled.items()))
        delivery.state = State.READY
        self._ready.append(delivery)
        self._wake()

    def extend(self, delivery: Delivery, expires: float) -> None:
        """Let the lease of a delivery end at another time."""
        if expires < delivery.expires:
            self._push_lease(expires, delivery)
        delivery.expires = expires

    def give_back(self, delivery: Delivery) -> None:
        """End a lease that reached no client; it doesn't count as a failure."""
        if delivery.state is State.LEASED:
            self._requeue(delivery, 0.0)

    def fail(self, delivery: Delivery, now: float) -> None:
        """Nack a leased delivery: it comes again after its backoff."""
        delivery.failures += 1
        if self._failed(delivery):
            delivery.release(State.FORWARDED)
        else:
            self._requeue(delivery, self._resumption(delivery, now))

    def retry(self, delivery: Delivery, now: float) -> None:
        """Deliver a message again that `failed` couldn't handle."""
        if delivery.state is State.FORWARDED:
            self._requeue(delivery, self._resumption(delivery, now))

    def tick(self, now: float) -> list[Delivery]:
        """Handle ended leases and backoffs, and remove and return the messages past their retention."""
        while self._leases and self._leases[0][0] <= now:
            expires, _, serial, delivery = heapq.heappop(self._leases)
            if delivery.state is not State.LEASED or delivery.serial != serial:
                continue
            if delivery.expires > expires:
                self._push_lease(delivery.expires, delivery)
            else:
                self.fail(delivery, now)
        while self._delayed and self._delayed[0][0] <= now:
            _, _, resumed = heapq.heappop(self._delayed)
            if isinstance(resumed, Lane):
                resumed.resumes = 0.0
                self._resume(resumed)
            elif resumed.state is State.DELAYED:
                resumed.state = State.READY
                self._ready.append(resumed)
        expired = list(self._expired(now))
        for delivery in expired:
            self.settle(delivery)
        self._wake()
        return expired

    def next_event(self) -> float | None:
        """Return when `tick` has something to do next; None for never."""
        times = [heap[0][0] for heap in (self._leases, self._delayed) if heap]
        oldest = next(iter(self._unsettled.values()), None)
        if oldest is not None:
            times.append(oldest.message.published / 1e6 + self.policy.retention)
        return min(times, default=None)

    def clear(self) -> list[Delivery]:
        """Remove and return all deliveries."""
        removed = list(self._unsettled.values())
        for delivery in removed:
            delivery.release(State.SETTLED)
        self._unsettled.clear()
        self._ready.clear()
        self._lanes.clear()
        self._leases.clear()
        self._delayed.clear()
        return removed

    def close(self) -> list[Delivery]:
        """Wake all consumers for the last time; remove and return all deliveries."""
        self.closed = True
        for consumer in self._waiting:
            consumer.woken.set()
        return self.clear()

    def _push_lease(self, expires: float, delivery: Delivery) -> None:
        heapq.heappush(self._leases, (expires, next(self._serials), delivery.serial, delivery))

    def _expired(self, now: float) -> Iterator[Delivery]:
        for delivery in self._unsettled.values():
            if delivery.message.published / 1e6 + self.policy.retention > now:
                return
            yield delivery

    def _resumption(self, delivery: Delivery, now: float) -> float:
        delay = self.policy.delay(delivery.failures)
        return now + delay if delay else 0.0

    def _requeue(self, delivery: Delivery, resumes: float) -> None:
        """Let a delivery come again, at once if `resumes` is zero; with its ordering key, the following ones too."""
        lane = self._lanes.get(delivery.message.ordering_key) if self.policy.ordered else None
        if lane is not None:
            delivery.release(State.WAITING)
            lane.outstanding.pop(delivery.message.id, None)
            lane.waiting.append(delivery)
            lane.revoke_after(delivery.message.id)
            if resumes:
                lane.resumes = resumes
                heapq.heappush(self._delayed, (resumes, next(self._serials), lane))
            self._resume(lane)
        elif resumes:
            delivery.release(State.DELAYED)
            heapq.heappush(self._delayed, (resumes, next(self._serials), delivery))
        else:
            delivery.release(State.READY)
            self._ready.append(delivery)
        self._wake()

    def _lane(self, message: Message) -> Lane | None:
        if not self.policy.ordered or not message.ordering_key:
            return None
        return self._lanes.setdefault(message.ordering_key, Lane())

    def _leave_lane(self, delivery: Delivery) -> None:
        lane = self._lanes.get(delivery.message.ordering_key) if self.policy.ordered else None
        if lane is not None:
            lane.outstanding.pop(delivery.message.id, None)
            self._resume(lane)
            if not lane.outstanding and not lane.waiting and not lane.resumes:
                del self._lanes[delivery.message.ordering_key]

    def _resume(self, lane: Lane) -> None:
        """Let the waiting deliveries of an ordering key be taken, before all others."""
        if lane.outstanding or lane.resumes:
            return
        waiting = [delivery for delivery in lane.waiting if delivery.state is State.WAITING]
        lane.waiting.clear()
        for delivery in waiting:
            delivery.state = State.READY
        self._ready.extendleft(reversed(waiting))
        self._wake()

    def _wake(self) -> None:
        if self._ready and self._waiting:
            consumer = next(iter(self._waiting))
            del self._waiting[consumer]
            consumer.woken.set()
