"""Run the rollup of a day: gather its events into batches and compute their measures.

The batches go to a worker process, so that one core reads while another computes. With a single core, or for a day
smaller than one batch, the rollup runs in this process.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, Self

from shared.aggregate.rollup import DayRollup, ValueMeasures
from shared.aggregate.rollup_worker import MAX_VALUES_PER_RESPONSE, Batch, Plan
from shared.aggregate.worker_process import WorkerProcess
from shared.contracts.model import Contract

# Bytes of events in one batch.
_BATCH_BYTES = 1024 * 1024


class BatchBuilder:
    """Gathers the events of whole users into batches."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._events: list[bytes] = []
        self._bytes = 0
        self._counts: list[int] = []  # events of each user

    def add(self, users: Iterable[Sequence[bytes]]) -> Batch | None:
        """Add for each user all of the day's events; return the batch that they complete."""
        for events in filter(None, users):
            self._events += events
            self._bytes += sum(map(len, events))
            self._counts.append(len(events))
        return self.take() if self._bytes >= _BATCH_BYTES else None

    def take(self) -> Batch:
        """Return the events that are in no batch yet."""
        batch = Batch(b",".join(self._events), self._counts)
        self._start()
        return batch


class RollupRunner:
    """The rollup of one day. Leaving the context ends the worker process."""

    def __init__(self, contract: Contract, cpu: float | None = None) -> None:
        """Prepare the rollup without starting a process.

        Args:
            contract: defines the measures.
            cpu: CPUs that this process may use; as many as it sees by default.
        """
        self._plan = Plan(contract.user, contract.aggregates)
        self._cpu = math.inf if cpu is None else cpu
        self._executor: _Executor | None = None
        self._batches = BatchBuilder()

    async def add(self, users: Iterable[Sequence[bytes]]) -> Sequence[ValueMeasures]:
        """Add the events of some users: for each user all of the day's events, as they are stored.

        Returns:
            The final measures of earlier users; empty unless this call completes a batch.
        """
        batch = self._batches.add(users)
        if batch is None:
            return []
        if self._executor is None:
            # Cloud Run shows two cores to a process with one CPU, so the declared number counts.
            cores = min(_core_count(), self._cpu)
            self._executor = WorkerProcess(self._plan) if cores > 1 else _InProcess(self._plan)
        return await self._executor.measure(batch)

    async def finish(self) -> AsyncGenerator[Sequence[ValueMeasures]]:
        """Yield the remaining measures: of the last users, then of all other dimensions.

        The next part is computed while the caller writes the current one.
        """
        executor = self._executor or _InProcess(self._plan)
        measured = await executor.measure(self._batches.take())
        upcoming = asyncio.create_task(executor.remaining())
        try:
            yield measured
            while measured := await upcoming:
                upcoming = asyncio.create_task(executor.remaining())
                yield measured
        finally:
            upcoming.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._executor is not None:
            await self._executor.close()


class _Executor(Protocol):
    """Computes the measures of batches."""

    async def measure(self, batch: Batch) -> Sequence[ValueMeasures]:
        """Add the events of whole users; return the measures by user."""

    def remaining(self) -> Coroutine[Any, Any, Sequence[ValueMeasures]]:
        """Return further measures of the other dimensions; empty after the last."""

    async def close(self) -> None:
        """Release all resources."""


class _InProcess:
    """Computes the measures in this process."""

    def __init__(self, plan: Plan) -> None:
        self._rollup = DayRollup(plan.user, plan.aggregates)
        self._remaining: Iterator[ValueMeasures] = self._rollup.finish()

    async def measure(self, batch: Batch) -> Sequence[ValueMeasures]:
        return self._rollup.measure(batch.events, batch.counts)

    async def remaining(self) -> Sequence[ValueMeasures]:
        return list(islice(self._remaining, MAX_VALUES_PER_RESPONSE))

    async def close(self) -> None:
        pass


def _core_count() -> int:
    return len(os.sched_getaffinity(0))
