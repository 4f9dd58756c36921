"""Group commit: callers that are busy at the same time share calls to Bigtable, and each waits for its own entries.

There is no timer. A batch is whatever has gathered while the previous calls were under way, so a lone write leaves at
once and a crowd shares a few large calls, as databases share one flush of their log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from grpc import StatusCode

from shared.bigtable import retry
from shared.bigtable.mutations import Entry
from shared.bigtable.transport import CallError
from shared.errors import OverloadedError, StoreUnavailableError

T = TypeVar("T")
Send = Callable[[Sequence[Entry], float], Awaitable[list[Exception | None]]]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of group commit.

    Attributes:
        flights: calls under way at once. One would let a slow key range hold up all others; more than four only make
            the batches smaller.
        mutations: in one call; Bigtable takes 100,000 (https://cloud.google.com/bigtable/quotas#limits-operations).
        batch_bytes: in one call, well below the 256 MB that a call may have, so that an answer comes soon.
        pending_bytes: held unstored at once; what comes on top is refused, since an instance has little memory.
        call_timeout: seconds for one call; the next try may meet a healthy server.
    """

    flights: int = 3
    mutations: int = 20_000
    batch_bytes: int = 4 * 1024 * 1024
    pending_bytes: int = 32 * 1024 * 1024
    call_timeout: float = 15.0


class Batcher:
    """Stores entries of one table, those of many callers together."""

    def __init__(self, send: Send, what: str, *, deadline: float, limits: BatchLimits | None = None) -> None:
        """Prepare, without doing anything yet.

        Args:
            send: takes entries and a time-out in seconds, returns an error or None for each.
            what: for error texts, such as "table events".
            deadline: seconds until an entry that hasn't been stored is given up.
            limits: other than the usual ones.
        """
        self._send = send
        self._what = what
        self._deadline = deadline
        self._limits = limits or BatchLimits()
        self._queue: deque[_EntryGroup] = deque()
        self._halves: deque[list[_EntryGroup]] = deque()  # of refused batches; they must not be mixed with others again
        self._pending_bytes = 0
        self._flights: set[asyncio.Task[None]] = set()
        self._boarding = False

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Store entries; returns when Bigtable has acknowledged every one of them.

        Raises:
            OverloadedError: too much is waiting already.
            StoreUnavailableError: not stored within the deadline; another try may succeed.
            StoreRefusedError: refused for good.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begin(entries, done, None)
        await done

    def begin(self, entries: Sequence[Entry], done: asyncio.Future[T], result: T) -> None:
        """Begin to store entries, as `commit` does; `done` will have the result, or the error, when it is over.

        Raises:
            OverloadedError: too much is waiting already.
        """
        if not entries:
            done.set_result(result)
            return
        ticket = _PendingWrite(done, result, asyncio.get_running_loop().time() + self._deadline, len(entries))
        parcels = self._parcels(entries, ticket)
        total = sum([parcel.size for parcel in parcels])
        # A caller alone is let in whatever its size: refusing it would refuse it for ever.
        if self._pending_bytes and self._pending_bytes + total > self._limits.pending_bytes:
            raise OverloadedError(f"{self._what}: {self._pending_bytes} bytes are waiting to be stored already")
        self._pending_bytes += total
        done.add_done_callback(partial(self._release, total))
        self._queue.extend(parcels)
        self._board()

    def _release(self, size: int, _done: object) -> None:
        self._pending_bytes -= size

    def _parcels(self, entries: Sequence[Entry], ticket: _PendingWrite) -> list[_EntryGroup]:
        """Wrap entries up: all of them together, or one by one where they are too much for one call."""
        parcel = _EntryGroup(entries, ticket)
        if parcel.size <= self._limits.batch_bytes and parcel.mutations <= self._limits.mutations:
            return [parcel]
        return parcel.singles()

    async def drained(self) -> None:
        """Wait until no call is under way."""
        while self._flights:
            await asyncio.wait(self._flights)

    def _board(self) -> None:
        """Start the next flight, if there is something to carry and a slot; at most one is boarding at any time."""
        if self._boarding or len(self._flights) >= self._limits.flights or not (self._queue or self._halves):
            return
        self._boarding = True
        # The flight belongs to no caller: a cancelled one harms nobody else's entries.
        flight = asyncio.get_running_loop().create_task(self._fly())
        self._flights.add(flight)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._board()

    async def _fly(self) -> None:
        batch = self._halves.popleft() if self._halves else self._next_batch()
        self._boarding = False
        self._board()
        batch = [parcel for parcel in batch if not parcel.ticket.future.done()]
        if not batch:
            return
        loop = asyncio.get_running_loop()
        timeout = min(self._limits.call_timeout, max(parcel.ticket.deadline for parcel in batch) - loop.time())
        entries = [entry for parcel in batch for entry in parcel.entries]
        try:
            results = await self._send(entries, max(timeout, 0.001))
        except Exception as error:  # whatever it is, it is the callers who have to know
            for parcel in batch:
                parcel.ticket.settle(len(parcel.entries), error)
            return
        if not any(results):
            for parcel in batch:
                parcel.ticket.settle(len(parcel.entries))
            return
        singles = [single for parcel in batch for single in parcel.singles()]
        if len(singles) > 1 and all(map(_refused, results)):
            middle = len(singles) // 2
            self._halves += [singles[:middle], singles[middle:]]
            return
        self._settle(singles, results, loop)

    def _next_batch(self) -> list[_EntryGroup]:
        batch: list[_EntryGroup] = []
        size = mutations = 0
        while self._queue:
            parcel = self._queue[0]
            size += parcel.size
            mutations += parcel.mutations
            if batch and (size > self._limits.batch_bytes or mutations > self._limits.mutations):
                break
            batch.append(self._queue.popleft())
        return batch

    def _settle(
        self, singles: list[_EntryGroup], results: list[Exception | None], loop: asyncio.AbstractEventLoop
    ) -> None:
        again: list[_EntryGroup] = []
        for single, error in zip(singles, results, strict=True):
            if error is None:
                single.ticket.settle(1)
            elif retry.is_transient(error):
                single.error = error
                again.append(single)
            else:
                single.ticket.settle(1, retry.translated(error, f"writing to {self._what}"))
        if again:
            # The wait takes up no flight; a fresh entry may leave meanwhile.
            longest = max(again, key=lambda single: single.tries)
            wait = longest.next_wait(self._deadline)
            for single in again:
                single.tries = longest.tries
                single.waits = longest.waits
            loop.call_later(wait, self._requeue, again)

    def _requeue(self, singles: list[_EntryGroup]) -> None:
        now = asyncio.get_running_loop().time()
        for single in singles:
            if single.ticket.deadline <= now:
                text = f"writing to {self._what}: not acknowledged within {self._deadline:g} s: {single.error}"
                single.ticket.settle(1, StoreUnavailableError(text))
            elif not single.ticket.future.done():
                self._queue.append(single)
        self._board()


class _PendingWrite:
    """What one caller waits for: that each of its entries is stored or has failed for good.

    An entry that fails doesn't end the others' way: they are stored, and then the caller is told of the failure.
    """

    __slots__ = ("deadline", "error", "future", "open", "result")

    def __init__(self, future: asyncio.Future[Any], result: Any, deadline: float, entries: int) -> None:
        self.future = future
        self.result = result
        self.deadline = deadline
        self.open = entries
        self.error: Exception | None = None

    def settle(self, entries: int, error: Exception | None = None) -> None:
        """Take note of what became of some entries."""
        self.error = self.error or error
        self.open -= entries
        if self.open == 0 and not self.future.done():
            if self.error is None:
                self.future.set_result(self.result)
            else:
                self.future.set_exception(self.error)


class _EntryGroup:
    """Entries of one caller on their way: all together at first, each alone when some have failed."""

    __slots__ = ("entries", "error", "mutations", "size", "ticket", "tries", "waits")

    def __init__(self, entries: Sequence[Entry], ticket: _PendingWrite) -> None:
        self.entries = entries
        self.size = sum([len(entry.wire) for entry in entries])
        self.mutations = sum([entry.mutations for entry in entries])
        self.ticket = ticket
        self.tries = 0
        self.waits: Iterator[float] | None = None
        self.error: Exception | None = None

    def singles(self) -> list[_EntryGroup]:
        """Return a parcel for each entry."""
        if len(self.entries) == 1:
            return [self]
        return [_EntryGroup([entry], self.ticket) for entry in self.entries]

    def next_wait(self, deadline: float) -> float:
        if self.waits is None:
            self.waits = retry.waits(deadline)
        self.tries += 1
        return next(self.waits)


def _refused(error: Exception | None) -> bool:
    return isinstance(error, CallError) and error.code is StatusCode.INVALID_ARGUMENT
