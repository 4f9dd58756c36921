"""The clock of the scheduler; tests use a clock of their own."""

from __future__ import annotations

import asyncio
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
