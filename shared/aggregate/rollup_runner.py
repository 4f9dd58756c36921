"""Measure a day's events: many of them in a process of its own, so that one core reads while another measures.

There is no other process where there is one core alone, nor for a day that is less than a batch.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec

from shared.aggregate.rollup import DayRollup, ValueMeasures
from shared.aggregate.rollup_worker import LENGTH, Batch, Plan, frame_of
from shared.contracts.model import Contract

# Bytes of events that are measured together.
_TOGETHER = 1024 * 1024
_ROOT = Path(__file__).parents[2]


class RollupRunner:
    """The figures of one day. Leaving it ends the process that it may have begun.

    Attributes:
        events: that were taken in.
    """

    def __init__(self, contract: Contract) -> None:
        self._plan = Plan(contract.user, contract.aggregates)
        self._place: _Place | None = None
        self.events = 0
        self._begin()

    def _begin(self) -> None:
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._counts: list[int] = []  # of the waiting events, user by user

    async def add(self, users: Iterable[Sequence[bytes]]) -> Sequence[ValueMeasures]:
        """Take in the events of some users, all that each has, as they are stored.

        Returns:
            ValueMeasures of users that are finished: mostly none, from time to time those of many.
        """
        for events in filter(None, users):
            self.events += len(events)
            self._waiting += events
            self._bytes += sum(map(len, events))
            self._counts.append(len(events))
        if self._bytes < _TOGETHER:
            return []
        if self._place is None:
            self._place = _Elsewhere(self._plan) if _cores() > 1 else _Here(self._plan)
        return await self._place.measure(self._batch())

    async def finish(self) -> AsyncGenerator[Sequence[ValueMeasures]]:
        """Return the figures that haven't been returned yet: of the last users, and of all other dimensions.

        While some are being written the next are made.
        """
        place = self._place or _Here(self._plan)
        figures = await place.measure(self._batch())
        coming = asyncio.create_task(place.rest())
        try:
            yield figures
            while figures := await coming:
                coming = asyncio.create_task(place.rest())
                yield figures
        finally:
            coming.cancel()

    def _batch(self) -> Batch:
        batch = Batch(b",".join(self._waiting), self._counts)
        self._begin()
        return batch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._place is not None:
            await self._place.close()


class _Place(Protocol):
    """Where events are measured."""

    async def measure(self, batch: Batch) -> Sequence[ValueMeasures]:
        """Take in events of whole users; returns what is measured by the user."""

    def rest(self) -> Coroutine[Any, Any, Sequence[ValueMeasures]]:
        """Return some of what is measured by anything else; nothing when that was all."""

    async def close(self) -> None:
        """Let go of everything."""


class _Here:
    """This process."""

    def __init__(self, plan: Plan) -> None:
        self._rollup = DayRollup(plan.user, plan.aggregates)
        self._rest: Iterator[ValueMeasures] = self._rollup.finish()

    async def measure(self, batch: Batch) -> Sequence[ValueMeasures]:
        return self._rollup.measure(batch.events, batch.counts)

    async def rest(self) -> Sequence[ValueMeasures]:
        return list(islice(self._rest, 2_000))

    async def close(self) -> None:
        pass


class _Elsewhere:
    """A process of its own, begun by the first batch."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sending = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._answers: deque[asyncio.Future[bytes]] = deque()
        self._ended: RuntimeError | None = None
        # ValueMeasures stay the JSON that they are.
        self._decode = msgspec.json.Decoder(list[tuple[str, str, dict[str, msgspec.Raw]]]).decode

    async def measure(self, batch: Batch) -> Sequence[ValueMeasures]:
        return await self._ask(msgspec.msgpack.encode(batch))

    async def rest(self) -> Sequence[ValueMeasures]:
        return await self._ask(b"")

    async def close(self) -> None:
        if self._writer is not None and self._listening is not None:
            self._process.kill()
            self._writer.close()
            await self._listening

    async def _ask(self, data: bytes) -> list[ValueMeasures]:
        async with self._sending:
            writer = self._writer or await self._start()
            if self._ended:
                raise self._ended
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._answers.append(answer)
            await _send(writer, data)
        return [ValueMeasures(*each) for each in self._decode(await answer)]

    async def _start(self) -> asyncio.StreamWriter:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "shared.aggregate.rollup_worker"]
        with theirs:
            # asyncio's own way of starting a process may copy this one, which gRPC doesn't like to happen.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - it takes milliseconds; the command is ours
                command, cwd=_ROOT, stdin=theirs.fileno(), stdout=theirs.fileno()
            )
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._listening = asyncio.create_task(self._listen(reader))
        await _send(self._writer, msgspec.msgpack.encode(self._plan))
        return self._writer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = await reader.readexactly(LENGTH)
                data = await reader.readexactly(int.from_bytes(length))
                answer = self._answers.popleft()
                if not answer.done():  # who asked may have been cancelled
                    answer.set_result(data)
        code = await asyncio.to_thread(self._process.wait)
        self._ended = RuntimeError(f"the process that measures events ended with exit code {code}")
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(self._ended)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(ConnectionError):  # the process has ended; who waits for an answer is told
        writer.write(frame_of(data))
        await writer.drain()


def _cores() -> int:
    return len(os.sched_getaffinity(0))
