"""Coroutines of several threads run in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.beam.event_loop import iterate, run


async def loop_of_task() -> asyncio.AbstractEventLoop:
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


def test_all_threads_share_one_loop() -> None:
    with ThreadPoolExecutor(3) as threads:
        found = {*threads.map(lambda _: run(loop_of_task()), range(9)), run(loop_of_task())}

    assert len(found) == 1


def test_an_error_reaches_the_caller() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(fail())


def test_a_generator_is_closed_when_its_reader_stops() -> None:
    closed = []

    async def numbers() -> AsyncGenerator[int]:
        try:
            for number in range(5):
                yield number
        finally:
            closed.append(True)

    assert list(iterate(numbers())) == [0, 1, 2, 3, 4]
    reader = iterate(numbers())
    assert next(reader) == 0
    reader.close()  # type: ignore[attr-defined]
    assert len(closed) == 2
