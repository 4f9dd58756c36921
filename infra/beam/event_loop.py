"""One event loop a process, in a thread of its own, which runs the coroutines of all other threads.

Beam may call the DoFns of a process in several threads, and gRPC's asyncio API supports one loop a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator
from functools import cache
from threading import Lock, Thread
from typing import Any, TypeVar

T = TypeVar("T")

_lock = Lock()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


def iterate(items: AsyncGenerator[T]) -> Iterator[T]:
    """Yield the items of an asynchronous generator."""

    async def following() -> tuple[T] | None:
        try:
            return (await anext(items),)
        except StopAsyncIteration:
            return None

    try:
        while (item := run(following())) is not None:
            yield item[0]
    finally:
        run(items.aclose())


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:  # the first calls may be concurrent
        return _start_loop()


@cache
def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="event-loop", daemon=True).start()
    return loop
