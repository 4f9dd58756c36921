"""Serve those together who come in the same turn of the event loop: what they have in common is then done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

Serve = Callable[[Sequence[T]], Awaitable[Sequence[BaseException | None]]]


class Gathering(Generic[T]):
    """Nobody waits for others to come: who is alone in a turn is served alone."""

    def __init__(self, serve: Serve[T]) -> None:
        """Prepare; `serve` is given what came together, and returns what went wrong with each, None if nothing did."""
        self._serve = serve
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._served: set[asyncio.Task[None]] = set()

    async def join(self, item: T) -> None:
        """Have an item served; raises what went wrong with it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((item, done))
        if len(self._waiting) == 1:
            loop.call_soon(self._begin)
        await done

    def _begin(self) -> None:
        together, self._waiting = self._waiting, []
        # The task belongs to no caller: a cancelled one harms nobody else's item.
        task = asyncio.get_running_loop().create_task(self._finish(together))
        self._served.add(task)
        task.add_done_callback(self._served.discard)

    async def _finish(self, together: list[tuple[T, asyncio.Future[None]]]) -> None:
        outcomes: Sequence[BaseException | None]
        try:
            outcomes = await self._serve([item for item, _ in together])
        except BaseException as error:  # whatever it is, it is the callers who have to know
            outcomes = [error] * len(together)
        for (_, done), outcome in zip(together, outcomes, strict=True):
            if done.done():
                continue  # called off
            if outcome is None:
                done.set_result(None)
            else:
                done.set_exception(outcome)
