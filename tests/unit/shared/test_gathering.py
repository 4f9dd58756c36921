"""Who comes in the same turn of the loop is served together, and learns of nobody's fate but his own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.gathering import Gathering


class Server:
    """Notes who came together, and fails for the items it is told to."""

    def __init__(self, failing: Sequence[str] = (), error: BaseException | None = None) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self._failing = failing
        self._error = error

    async def __call__(self, items: Sequence[str]) -> list[BaseException | None]:
        self.batches.append(list(items))
        await self.open.wait()
        if self._error:
            raise self._error
        return [ValueError(item) if item in self._failing else None for item in items]


async def test_those_of_one_turn_are_served_together_and_later_ones_apart() -> None:
    server = Server()
    gathering = Gathering(server)

    await asyncio.gather(*(gathering.join(item) for item in "abc"))
    await gathering.join("d")

    assert server.batches == [["a", "b", "c"], ["d"]]


async def test_nobody_waits_for_those_before() -> None:
    server = Server()
    server.open.clear()
    gathering = Gathering(server)

    first = asyncio.create_task(gathering.join("a"))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(gathering.join("b"))
    await asyncio.sleep(0.01)

    assert server.batches == [["a"], ["b"]]
    server.open.set()
    await asyncio.gather(first, second)


async def test_everyone_gets_the_error_that_is_his() -> None:
    gathering = Gathering(Server(failing=["b"]))

    outcomes = await asyncio.gather(*(gathering.join(item) for item in "abc"), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]


async def test_an_error_of_the_whole_is_everyones() -> None:
    gathering = Gathering(Server(error=KeyError("whole")))

    outcomes = await asyncio.gather(*(gathering.join(item) for item in "ab"), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [KeyError, KeyError]


async def test_who_is_called_off_harms_nobody() -> None:
    server = Server()
    server.open.clear()
    gathering = Gathering(server)
    first, second = (asyncio.create_task(gathering.join(item)) for item in "ab")
    await asyncio.sleep(0.01)

    first.cancel()
    server.open.set()

    await second
    with pytest.raises(asyncio.CancelledError):
        await first
