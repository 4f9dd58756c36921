"""A clock that stands still until a test moves it, and then wakes whoever sleeps, each at its own time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class ManualClock:
    """Time as a test wants it."""

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, moment: datetime) -> None:
        if moment <= self._now:
            return
        sleeper = (moment, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, **time: float) -> None:
        await self.advance_to(self._now + timedelta(**time))

    async def advance_to(self, moment: datetime) -> None:
        """Let time pass; whoever wakes has done all it does then, and sleeps again, before more time passes."""
        await self._until_asleep(0)
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= moment]:
            count = len(self._sleepers)
            earliest = min(due, key=lambda sleeper: sleeper[0])
            self._now = earliest[0]
            earliest[1].set_result(None)
            while earliest in self._sleepers:  # noqa: ASYNC110 - it is a matter of turns of the loop
                await asyncio.sleep(0)
            await self._until_asleep(count)
        self._now = max(self._now, moment)

    async def _until_asleep(self, count: int) -> None:
        for _ in range(10):  # tasks that have just been started come to their first sleep
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            while len(self._sleepers) < count:  # noqa: ASYNC110 - what it waits for may be a call to a server
                await asyncio.sleep(0.001)
