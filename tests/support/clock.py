"""A clock that only a test advances, and that wakes each sleeping task at its time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple


class _Sleeper(NamedTuple):
    moment: datetime
    task: asyncio.Task[Any]
    wake_up: asyncio.Future[None]


class ManualClock:
    """A clock that a test advances."""

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
            await sleeper.wake_up
        finally:
            self._sleepers.remove(sleeper)

    def skip(self, **time: float) -> None:
        """Advance the clock without waking tasks."""
        self._now += timedelta(**time)

    async def wake(self) -> None:
        """Wake the tasks whose time has come, without waiting for their work."""
        for sleeper in self._sleepers:
            if sleeper.moment <= self._now:
                sleeper.wake_up.set_result(None)
        await _run_tasks()

    async def advance(self, **time: float) -> None:
        await self.advance_to(self._now + timedelta(**time))

    async def advance_to(self, moment: datetime) -> None:
        """Advance the clock in steps; each woken task finishes or sleeps again before the next step."""
        await _run_tasks()
        while due := [sleeper for sleeper in self._sleepers if sleeper.moment <= moment]:
            earliest = min(due, key=lambda sleeper: sleeper.moment)
            self._now = max(self._now, earliest.moment)
            earliest.wake_up.set_result(None)
            await _run_tasks()
            async with asyncio.timeout(30):
                while not self._is_idle(earliest.task):  # noqa: ASYNC110 - the task may wait for a call to a server
                    await asyncio.sleep(0.001)
        self._now = max(self._now, moment)

    def _is_idle(self, task: asyncio.Task[Any]) -> bool:
        return task.done() or any(sleeper.task is task and not sleeper.wake_up.done() for sleeper in self._sleepers)


async def _run_tasks() -> None:
    """Let started or woken tasks run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)
