"""The recent history of a running stack: its counts once a second, in bounded memory."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from infra.console.flow.messages import LastMessage
from infra.local.stats import StackCounts, StackCountsReader

INTERVAL = 1.0  # seconds between samples
# Samples of a rate. The functions log about once a second, so a single sample has the counts of no line, or of two.
_WINDOW = 5
SAMPLES = 120  # kept
_PROBLEMS = 20
# Seconds without a sample after which the history begins again.
_GAP = 10.0


class Flow(NamedTuple):
    """Events and deliveries: counts since the start of the stack, or means a second."""

    stored: float
    rejected: float
    duplicate: float
    delivered: float
    failed: float


class _Sample(NamedTuple):
    time: float
    total: Flow
    latencies: Counter[str]


class FlowHistory:
    """The last two minutes of a stack.

    Attributes:
        counts: since the start of the stack.
        messages: the last messages, newest first; None if unknown.
        problems: the latest warnings and errors, newest first, at most 20; of several within a second the last.
    """

    def __init__(self, reader: StackCountsReader) -> None:
        self._reader = reader
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES + _WINDOW)
        self._problem_count = 0
        self.counts = StackCounts()
        self.problems: deque[str] = deque(maxlen=_PROBLEMS)
        self.messages: list[LastMessage] | None = None

    @property
    def total(self) -> Flow:
        """Events and deliveries since the start of the stack."""
        return self._samples[-1].total

    def sample(self, now: float) -> None:
        """Read the counts; `now` is the monotonic time in seconds."""
        self.counts = self._reader.read()
        events: Counter[str] = self.counts.events
        deliveries: Counter[str] = self.counts.deliveries
        if self._samples and now - self._samples[-1].time > _GAP:
            self._samples.clear()
        total = Flow(
            stored=events["stored"],
            rejected=events["rejected"],
            duplicate=events["duplicate"],
            delivered=deliveries["delivered"],
            failed=deliveries["failed"],
        )
        self._samples.append(_Sample(now, total, Counter(self.counts.latencies)))
        problem_count = self.counts.problems.total()
        if problem_count > self._problem_count:
            self._problem_count = problem_count
            self.problems.appendleft(self.counts.last_problem)

    @property
    def rates(self) -> list[Flow]:
        """The rates of the last two minutes, oldest first; none before the second sample."""
        samples = list(self._samples)
        found = []
        for number in range(1, len(samples)):
            after, before = samples[number], samples[max(number - _WINDOW, 0)]
            seconds = after.time - before.time
            found.append(Flow(*((now - then) / seconds for now, then in zip(after.total, before.total, strict=True))))
        return found[-SAMPLES:]

    @property
    def latencies(self) -> Counter[str]:
        """The latencies of the messages of the last five seconds: see `infra.emulators.latency`."""
        samples = list(self._samples)[-_WINDOW - 1 :]
        return samples[-1].latencies - samples[0].latencies


class FlowFeed:
    """One history that all open pages share; samples are taken only while a page is open."""

    def __init__(
        self,
        find: Callable[[], StackCountsReader | None],
        read_messages: Callable[[], Awaitable[list[LastMessage] | None]],
    ) -> None:
        """Prepare the feed.

        Args:
            find: returns the reader of the running stack, None without one.
            read_messages: returns its last messages, None if unknown.
        """
        self._find = find
        self._read_messages = read_messages
        self._history: FlowHistory | None = None
        self._sampled = float("-inf")
        self._lock = asyncio.Lock()
        self._stopped = False

    async def read(self) -> FlowHistory | None:
        """Return the history, with a new sample about once per `INTERVAL`; None without a stack."""
        async with self._lock:
            if self._history is None and (reader := await asyncio.to_thread(self._find)):
                self._history = FlowHistory(reader)
            now = time.monotonic()
            if self._history is not None and now - self._sampled >= INTERVAL * 0.9:
                await asyncio.to_thread(self._history.sample, now)
                self._history.messages = await self._read_messages()
                self._sampled = now
            return self._history

    async def follow(self) -> AsyncIterator[FlowHistory | None]:
        """Yield the history once per `INTERVAL` until `stop`."""
        while not self._stopped:
            yield await self.read()
            await asyncio.sleep(INTERVAL)

    def stop(self) -> None:
        """End all `follow` within `INTERVAL`; a signal handler may call it."""
        self._stopped = True
