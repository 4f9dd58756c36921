"""Flow control: bounds the bytes that an instance processes at once, and the bytes that wait for their turn."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from shared.errors import OverloadedError


class FlowLimits(msgspec.Struct, frozen=True):
    """Limits for an instance of 256 MiB; CONTRIBUTING.md describes how they are measured.

    Attributes:
        active_bytes: bytes of events that are being validated and stored. Each event exists several times meanwhile: in
            the message, as an event, as a mutation and in the request.
        waiting_bytes: bytes of messages that wait for a reservation.
    """

    active_bytes: int = 6 * 1024 * 1024
    waiting_bytes: int = 32 * 1024 * 1024


class Reservation:
    """Bytes that one caller reserves for the length of an `async with` block."""

    __slots__ = ("_flow_control", "size")

    def __init__(self, flow_control: FlowControl, size: int) -> None:
        self._flow_control = flow_control
        self.size = size

    async def __aenter__(self) -> Reservation:
        await self._flow_control.acquire(self.size)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._flow_control.release(self.size)


class FlowControl:
    """Grants reservations in the order of arrival."""

    def __init__(self, *, max_wait: float, limits: FlowLimits | None = None) -> None:
        """Start empty.

        Args:
            max_wait: seconds that a caller waits for its reservation at most.
            limits: None for the defaults.
        """
        self._max_wait = max_wait
        self._limits = limits or FlowLimits()
        self._active = 0
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()
        self._waiting_bytes = 0

    def reserve(self, size: int) -> Reservation:
        """Return the reservation of some bytes, for an `async with` block.

        A lone caller is always admitted; otherwise an oversized message could never succeed.

        Args:
            size: bytes.

        Raises:
            OverloadedError: on entering the block, if too many bytes wait already or the wait took too long.
        """
        return Reservation(self, size)

    async def acquire(self, size: int) -> None:
        """Reserve bytes, now or when they are available; raises like `reserve`."""
        if self._waiters or not self._fits(size):
            await self._wait(size)
        else:
            self._active += size

    def resize(self, reservation: Reservation, change: int) -> None:
        """Add bytes to a granted reservation, or subtract them; a granted reservation is never revoked."""
        reservation.size += change
        self._active += change

    def release(self, size: int) -> None:
        """Return reserved bytes."""
        self._active -= size
        self._grant_next()

    def _fits(self, size: int) -> bool:
        return not self._active or self._active + size <= self._limits.active_bytes

    async def _wait(self, size: int) -> None:
        if self._waiting_bytes + size > self._limits.waiting_bytes:
            raise OverloadedError(f"at capacity: {self._waiting_bytes:,} bytes of messages are waiting already")
        waiter = (asyncio.get_running_loop().create_future(), size)
        self._waiters.append(waiter)
        self._waiting_bytes += size
        try:
            async with asyncio.timeout(self._max_wait):
                await waiter[0]
        except BaseException as error:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._waiting_bytes -= size
                self._grant_next()  # the next waiter may be smaller
            else:
                self.release(size)  # granted and cancelled in the same turn of the event loop
            if isinstance(error, TimeoutError):
                raise OverloadedError(f"at capacity: no room for {size:,} bytes within {self._max_wait:g} s") from None
            raise

    def _grant_next(self) -> None:
        if self._waiters and self._fits(self._waiters[0][1]):
            waiter, size = self._waiters.popleft()
            self._waiting_bytes -= size
            self._active += size
            if not waiter.done():  # a cancelled waiter releases its bytes itself
                waiter.set_result(None)
            # Grant the following one in a later turn: this message may grow when it is unpacked.
            asyncio.get_running_loop().call_soon(self._grant_next)
