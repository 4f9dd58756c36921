"""A clock that stands still until a test moves it, and then wakes whoever sleeps, each at its own time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple


class _Sleeper(NamedTuple):
    moment: datetime
    task: asyncio.Task[Any]
    bell: asyncio.Future[None]


class ManualClock:
    """Time as a test wants it."""

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)
        self._sleepers: list[_Sleeper] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, moment: datetime) -> None:
        task = asyncio.current_task()
        assert task is not None
        if moment <= self._now:
            return
        sleeper = _Sleeper(moment, task, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            await sleeper.bell
        finally:
            self._sleepers.remove(sleeper)

    def leap(self, **time: float) -> None:
        """Make it later at once, without anybody waking."""
        self._now += timedelta(**time)

    async def wake(self) -> None:
        """Wake who should be awake by now, and don't wait for what he does."""
        for sleeper in self._sleepers:
            if sleeper.moment <= self._now:
                sleeper.bell.set_result(None)
        await _turns()

    async def advance(self, **time: float) -> None:
        await self.advance_to(self._now + timedelta(**time))

    async def advance_to(self, moment: datetime) -> None:
        """Let time pass; whoever wakes has done all it does then, and sleeps again or has ended, before more passes."""
        await _turns()
        while due := [sleeper for sleeper in self._sleepers if sleeper.moment <= moment]:
            earliest = min(due, key=lambda sleeper: sleeper.moment)
            self._now = max(self._now, earliest.moment)
            earliest.bell.set_result(None)
            await _turns()
            async with asyncio.timeout(30):
                while not self._rests(earliest.task):  # noqa: ASYNC110 - what it waits for may be a call to a server
                    await asyncio.sleep(0.001)
        self._now = max(self._now, moment)

    def _rests(self, task: asyncio.Task[Any]) -> bool:
        return task.done() or any(sleeper.task is task and not sleeper.bell.done() for sleeper in self._sleepers)


async def _turns() -> None:
    """Let tasks that have just been started or woken come to where they wait."""
    for _ in range(10):
        await asyncio.sleep(0)
