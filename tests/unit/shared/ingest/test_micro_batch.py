"""Who comes in the same turn of the loop is served together, and is done when what is his own is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.ingest.micro_batch import MicroBatch

Together = Sequence[tuple[str, "asyncio.Future[str]"]]


class Server:
    """Notes who came together, and answers when a test says."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[str]] = []
        self.done: dict[str, asyncio.Future[str]] = {}
        self._error = error

    def __call__(self, together: Together) -> None:
        self.batches.append([item for item, _ in together])
        if self._error:
            raise self._error
        self.done |= dict(together)


async def joined(gathering: MicroBatch[str, str], items: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(gathering.join(item)) for item in items]
    await asyncio.sleep(0.01)
    return tasks


async def test_those_of_one_turn_are_served_together_and_later_ones_apart() -> None:
    server = Server()
    gathering = MicroBatch(server)

    await joined(gathering, "abc")
    await joined(gathering, "d")

    assert server.batches == [["a", "b", "c"], ["d"]]


async def test_nobody_waits_for_the_others_to_be_done() -> None:
    server = Server()
    slow, quick, failed = await joined(MicroBatch(server), "abc")

    server.done["b"].set_result("B")
    server.done["c"].set_exception(ValueError("c"))

    assert await quick == "B"
    with pytest.raises(ValueError, match="c"):
        await failed
    assert not slow.done()
    server.done["a"].set_result("A")
    assert await slow == "A"


async def test_an_error_of_the_whole_is_everyones() -> None:
    tasks = await joined(MicroBatch(Server(error=KeyError("whole"))), "ab")

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [KeyError, KeyError]


async def test_who_is_called_off_harms_nobody() -> None:
    server = Server()
    first, second = await joined(MicroBatch(server), "ab")

    first.cancel()
    server.done["b"].set_result("B")

    assert await second == "B"
    with pytest.raises(asyncio.CancelledError):
        await first
