"""Deliveries of a subscription, their consumers, and the order of messages with one ordering key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto

from infra.emulators.pubsub.messages import Message


class State(Enum):
    """Where a delivery is."""

    READY = auto()  # may be given to a consumer
    WAITING = auto()  # behind others of its ordering key
    DELAYED = auto()  # until its backoff ends
    LEASED = auto()  # at a consumer
    FORWARDED = auto()  # on its way to the dead letter topic
    SETTLED = auto()  # acknowledged or expired


class Consumer:
    """A pull, a stream or a push endpoint: counts what it holds, and waits for more.

    Attributes:
        woken: set when the queue may have something for the consumer, or a delivery of it ended.
        messages: number of deliveries that it holds.
        bytes: size of their messages.
        one_per_key: whether it gets a message with an ordering key only after the previous one is settled.
    """

    def __init__(self, *, one_per_key: bool = False) -> None:
        self.woken = asyncio.Event()
        self.messages = self.bytes = 0
        self.one_per_key = one_per_key


@dataclass(eq=False, slots=True)
class Delivery:
    """An unacknowledged message of one subscription.

    Attributes:
        failures: number of nacks and ended leases.
        serial: number of the current lease.
        expires: when the lease ends, seconds since 1970.
    """

    message: Message
    failures: int = 0
    state: State = State.READY
    serial: int = 0
    expires: float = 0.0
    consumer: Consumer | None = None

    def lease(self, consumer: Consumer, serial: int, expires: float) -> None:
        """Give the message to a consumer."""
        self.state, self.consumer, self.serial, self.expires = State.LEASED, consumer, serial, expires
        consumer.messages += 1
        consumer.bytes += len(self.message.content)

    def release(self, state: State) -> None:
        """End the lease, if there is one, and enter another state."""
        consumer, self.consumer, self.state = self.consumer, None, state
        if consumer is not None:
            consumer.messages -= 1
            consumer.bytes -= len(self.message.content)
            consumer.woken.set()


@dataclass(eq=False, slots=True)
class Lane:
    """The deliveries of one ordering key.

    Attributes:
        outstanding: leased or forwarded deliveries, by the number of their message.
        waiting: deliveries behind them, in order.
        resumes: end of the backoff, seconds since 1970.
        consumer: the only consumer that may have more of them.
    """

    outstanding: dict[int, Delivery] = field(default_factory=dict)
    waiting: list[Delivery] = field(default_factory=list)
    resumes: float = 0.0
    consumer: Consumer | None = None

    def admits(self, consumer: Consumer) -> bool:
        """Return whether the consumer may get the next message."""
        if self.waiting or self.resumes:
            return False
        return not self.outstanding or (self.consumer is consumer and not consumer.one_per_key)

    def revoke_after(self, number: int) -> None:
        """Let all leased messages after one wait again, to be given after it."""
        for following in [each for each in self.outstanding if each > number]:
            delivery = self.outstanding[following]
            if delivery.state is State.LEASED:
                del self.outstanding[following]
                delivery.release(State.WAITING)
                self.waiting.append(delivery)
        self.waiting.sort(key=lambda delivery: delivery.message.id)
