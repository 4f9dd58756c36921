"""Random calls: nothing is lost, nothing is given while it is leased, nothing acknowledged comes again."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from infra.emulators.protos.pubsub_pb2 import PubsubMessage
from infra.emulators.pubsub.delivery.deliveries import Consumer, Delivery
from infra.emulators.pubsub.delivery.queue import Policy, Queue
from infra.emulators.pubsub.messages import stamp

LEASE = 10.0
RETENTION = 1e9


class QueueMachine(RuleBasedStateMachine):
    """A queue beside a model of it: the unacknowledged messages, and the ends of their leases.

    Attributes:
        backoff: the retry policy.
        ordered: whether messages have ordering keys.
    """

    backoff: tuple[float, float] | None = None
    ordered = False
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(Policy(self.ordered, RETENTION, self.backoff), lambda delivery: False)
        self.consumers = [Consumer(), Consumer(), Consumer(one_per_key=True)]
        self.numbers = count(1)
        self.now = 0.0
        self.held: set[int] = set()
        self.leased: dict[int, tuple[int, float]] = {}
        self.acknowledged: set[int] = set()
        self.keys: dict[int, str] = {}

    @rule(key=st.sampled_from(["", "a", "b"]))
    def publish(self, key: str) -> None:
        number = next(self.numbers)
        content = PubsubMessage(data=b"x", ordering_key=key)
        self.queue.add(stamp(content, number, 1, 0))
        self.held.add(number)
        self.keys[number] = key

    @rule(target=leases, index=st.integers(0, 2), limit=st.integers(1, 5))
    def take(self, index: int, limit: int) -> Any:
        taken = self.queue.take(self.consumers[index], limit, 1 << 20, self.now, LEASE)
        for delivery in taken:
            number = delivery.message.id
            assert number in self.held
            assert number not in self.leased
            if self.ordered and self.keys[number]:
                earlier = {each for each in self.held if each < number and self.keys[each] == self.keys[number]}
                assert earlier <= set(self.leased), "a message overtook an earlier one of its key"
                assert not earlier or index != 2, "two messages of a key at a consumer that takes one"
            self.leased[number] = (delivery.serial, delivery.expires)
        return multiple(*((delivery, delivery.serial) for delivery in taken))

    @rule(lease=consumes(leases))
    def acknowledge(self, lease: tuple[Delivery, int]) -> None:
        number = lease[0].message.id
        found = self.queue.find(number)
        assert (found is None) == (number in self.acknowledged)
        if found is not None:
            self.queue.settle(found)
            self.held.discard(number)
            self.leased.pop(number, None)
            self.acknowledged.add(number)

    @rule(lease=leases)
    def nack(self, lease: tuple[Delivery, int]) -> None:
        delivery, serial = lease
        number = delivery.message.id
        found = self.queue.find(number, serial)
        assert (found is not None) == (self.leased.get(number, (0, 0))[0] == serial)
        if found is not None:
            self.queue.fail(found, self.now)
            self._forget_lease(number)

    @rule(lease=leases, seconds=st.integers(1, 30))
    def extend(self, lease: tuple[Delivery, int], seconds: int) -> None:
        delivery, serial = lease
        found = self.queue.find(delivery.message.id, serial)
        if found is not None:
            self.queue.extend(found, self.now + seconds)
            self.leased[delivery.message.id] = (serial, self.now + seconds)

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        end = self.now + seconds
        while (event := self.queue.next_event()) is not None and event <= end:
            self.now = max(self.now, event)
            for number in [number for number, (_, expires) in self.leased.items() if expires <= self.now]:
                self._forget_lease(number)
            assert self.queue.tick(self.now) == []
        self.now = end

    @invariant()
    def the_consumers_hold_what_is_leased(self) -> None:
        assert sum(consumer.messages for consumer in self.consumers) == len(self.leased)
        assert {message.id for message in self.queue} == self.held

    def teardown(self) -> None:
        """All unacknowledged messages come in the end."""
        self.wait(10_000)
        consumer = Consumer()
        taken = self.queue.take(consumer, 10_000, 1 << 30, self.now, LEASE)
        assert {delivery.message.id for delivery in taken} == self.held
        if self.ordered:
            for key in "ab":
                given = [delivery.message.id for delivery in taken if self.keys[delivery.message.id] == key]
                assert given == sorted(given)

    def _forget_lease(self, number: int) -> None:
        """Model the end of a lease: the later messages of the ordering key come again too."""
        key = self.keys[number]
        self.leased.pop(number, None)
        if self.ordered and key:
            for later in [each for each in self.leased if each > number and self.keys[each] == key]:
                del self.leased[later]


class BackoffMachine(QueueMachine):
    """With a retry policy."""

    backoff = (3.0, 20.0)


class OrderedMachine(QueueMachine):
    """With ordering keys."""

    ordered = True


class OrderedBackoffMachine(OrderedMachine):
    """With ordering keys and a retry policy."""

    backoff = (3.0, 20.0)


_SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueue = QueueMachine.TestCase
TestBackoff = BackoffMachine.TestCase
TestOrdered = OrderedMachine.TestCase
TestOrderedBackoff = OrderedBackoffMachine.TestCase
TestQueue.settings = TestBackoff.settings = TestOrdered.settings = TestOrderedBackoff.settings = _SETTINGS
