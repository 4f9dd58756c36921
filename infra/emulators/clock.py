"""The clock of the emulators; tests use a clock of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

# Seconds. The clock jumps when a suspended machine resumes, and `asyncio.sleep` doesn't notice, so sleeps are short.
_MAX_SLEEP = 10.0


class Clock(Protocol):
    """The interface of a clock."""

    def now(self) -> datetime:
        """Return the current time in UTC."""

    async def sleep_until(self, moment: datetime) -> None:
        """Sleep until a moment."""


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Sleep until a moment, to a few milliseconds."""
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - no event signals the time
            await asyncio.sleep(min(left, _MAX_SLEEP))


class Alarm:
    """Calls a function once at a time; a later time doesn't replace an earlier one."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._moment: float | None = None
        self._task: asyncio.Task[None] | None = None

    def set(self, moment: float | None) -> None:
        """Ring at a time, in seconds since 1970; None leaves the alarm as it is."""
        if moment is None or (self._moment is not None and self._moment <= moment):
            return
        self.cancel()
        self._moment = moment
        self._task = asyncio.get_running_loop().create_task(self._wait(moment))

    def cancel(self) -> None:
        """Never ring, until the next time is set."""
        if self._task is not None:
            self._task.cancel()
        self._task = self._moment = None

    async def _wait(self, moment: float) -> None:
        await self._clock.sleep_until(datetime.fromtimestamp(moment, UTC))
        self._task = self._moment = None
        self._ring()
