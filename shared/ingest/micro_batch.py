"""Begin together what comes in the same turn of the event loop: what it has in common is then done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class MicroBatch(Generic[T, R]):
    """Nobody waits for others to come, nor for others to be done: who is alone in a turn is served alone."""

    def __init__(self, begin: Callable[[Sequence[tuple[T, asyncio.Future[R]]]], None]) -> None:
        """Prepare; `begin` is given what came together, and sees to it that each future gets its own outcome."""
        self._begin = begin
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []

    async def join(self, item: T) -> R:
        """Have an item served; returns, or raises, what its own future is given."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, done))
        if len(self._waiting) == 1:
            loop.call_soon(self._serve)
        return await done

    def _serve(self) -> None:
        together, self._waiting = self._waiting, []
        try:
            self._begin(together)
        except Exception as error:  # whatever it is, it is the callers who have to know
            for _, done in together:
                if not done.done():
                    done.set_exception(error)
