"""How much an instance takes on at once, in bytes: who finds no room waits, and when too much waits, is sent away."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from shared.errors import OverloadedError


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Bounds of what an instance of 256 MiB can hold; CONTRIBUTING.md says how that is measured.

    Attributes:
        inside: bytes of events that are being judged and stored. On their way they exist several times over: as the
            message, as events, as changes, as the call that carries them.
        waiting: bytes of messages that wait for room.
    """

    inside: int = 6 * 1024 * 1024
    waiting: int = 32 * 1024 * 1024


class Reservation:
    """What one caller occupies while a block runs."""

    __slots__ = ("_room", "size")

    def __init__(self, room: FlowControl, size: int) -> None:
        self._room = room
        self.size = size

    async def __aenter__(self) -> Reservation:
        await self._room.enter(self.size)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._room.leave(self.size)


class FlowControl:
    """Admits callers in the order in which they came."""

    def __init__(self, *, patience: float, limits: FlowLimits | None = None) -> None:
        """Prepare an empty room in which nobody waits for longer than `patience` seconds."""
        self._patience = patience
        self._limits = limits or FlowLimits()
        self._inside = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._waiting_bytes = 0

    def admit(self, size: int) -> Reservation:
        """Reservation inside for the length of an `async with` block; somebody alone is let in whatever the size.

        Args:
            size: bytes.

        Raises:
            OverloadedError: by the block; too much waits already, or it took too long.
        """
        return Reservation(self, size)

    async def enter(self, size: int) -> None:
        """Come in, now or when there is room; errors as those of `admit`."""
        if self._waiting or not self._fits(size):
            await self._wait(size)
        else:
            self._inside += size

    def grow(self, stay: Reservation, size: int) -> None:
        """Take note that a caller turned out larger, or smaller again; who is inside already isn't sent away."""
        stay.size += size
        self._inside += size

    def _fits(self, size: int) -> bool:
        return not self._inside or self._inside + size <= self._limits.inside

    async def _wait(self, size: int) -> None:
        if self._waiting_bytes + size > self._limits.waiting:
            raise OverloadedError(f"{self._waiting_bytes:,} bytes of messages wait for room already")
        waiter = (asyncio.get_running_loop().create_future(), size)
        self._waiting.append(waiter)
        self._waiting_bytes += size
        try:
            async with asyncio.timeout(self._patience):
                await waiter[0]
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._waiting_bytes -= size
                self._let_in()  # who stood behind may be smaller
            else:
                self.leave(size)  # let in and called off at the same moment
            if isinstance(error, TimeoutError):
                raise OverloadedError(f"no room for {size:,} bytes within {self._patience:g} s") from None
            raise

    def leave(self, size: int) -> None:
        """Give room back."""
        self._inside -= size
        self._let_in()

    def _let_in(self) -> None:
        if self._waiting and self._fits(self._waiting[0][1]):
            admitted, size = self._waiting.popleft()
            self._waiting_bytes -= size
            self._inside += size
            if not admitted.done():  # else it was called off, and gives the room back itself
                admitted.set_result(None)
            # The next one only after this one has come in: it may turn out far larger.
            asyncio.get_running_loop().call_soon(self._let_in)
