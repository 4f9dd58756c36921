"""What time it is, and waiting until it is later; tests bring a clock of their own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol

# Seconds. A machine that was suspended has another time when it wakes up, and a sleep doesn't notice.
_LOOK_AGAIN = 10.0


class Clock(Protocol):
    """All that the scheduler knows of time."""

    def now(self) -> datetime:
        """Return the present, in UTC."""

    async def sleep_until(self, moment: datetime) -> None:
        """Return when it is that time or later."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Return when it is that time or later, a few milliseconds at most."""
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is nobody's event
            await asyncio.sleep(min(left, _LOOK_AGAIN))
