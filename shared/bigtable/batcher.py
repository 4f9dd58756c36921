"""Batching of writes: concurrent callers share MutateRows requests, and each waits for its own entries.

No timer delays a write. A batch contains the entries that arrived while earlier requests were in flight, like the group
commit of a database.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from grpc import StatusCode

from shared.bigtable import retry
from shared.bigtable.mutations import Entry
from shared.bigtable.transport import CallError
from shared.errors import OverloadedError, StoreUnavailableError

T = TypeVar("T")
_wire_of, _mutations_of = attrgetter("wire"), attrgetter("mutations")
Send = Callable[[Sequence[Entry], float], Awaitable[list[Exception | None]]]


class BatchLimits(msgspec.Struct, frozen=True):
    """Limits of a batcher.

    Attributes:
        in_flight: requests in flight at once. With one, a slow key range would delay all others; more than four only
            make the batches smaller.
        mutations: per request; Bigtable accepts 100,000 (https://cloud.google.com/bigtable/quotas#limits-operations).
        batch_bytes: per request, well below the 256 MB that Bigtable accepts, so that the response arrives soon.
        pending_bytes: of all pending writes; further ones are refused, since an instance has little memory.
        call_timeout: seconds per request; a retry may reach a healthy server.
    """

    in_flight: int = 3
    mutations: int = 20_000
    batch_bytes: int = 4 * 1024 * 1024
    pending_bytes: int = 32 * 1024 * 1024
    call_timeout: float = 15.0


class Batcher:
    """Writes entries of one table for many callers."""

    def __init__(self, send: Send, what: str, *, deadline: float, limits: BatchLimits | None = None) -> None:
        """Start empty.

        Args:
            send: takes entries and a timeout in seconds; returns an error or None for each entry.
            what: for error texts, such as "table events".
            deadline: seconds until a write that isn't acknowledged fails.
            limits: None for the defaults.
        """
        self._send = send
        self._what = what
        self._deadline = deadline
        self._limits = limits or BatchLimits()
        self._queue: deque[_EntryGroup] = deque()
        self._bisected: deque[list[_EntryGroup]] = deque()  # halves of refused batches; never mixed with other entries
        self._pending_bytes = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._starting = False

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write entries; return when Bigtable has acknowledged every one of them.

        Raises:
            OverloadedError: too many bytes are pending.
            StoreUnavailableError: not acknowledged within the deadline; a retry may succeed.
            StoreRefusedError: refused permanently.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begin_write(entries, done, None)
        await done

    def begin_write(self, entries: Sequence[Entry], done: asyncio.Future[T], result: T) -> None:
        """Begin to write entries like `write`; `done` gets the result or the error.

        Raises:
            OverloadedError: too many bytes are pending.
        """
        if not entries:
            done.set_result(result)
            return
        write = _PendingWrite(done, result, asyncio.get_running_loop().time() + self._deadline, len(entries))
        groups = self._groups(entries, write)
        total = sum([group.size for group in groups])
        # Always admit a lone caller; otherwise an oversized write could never succeed.
        if self._pending_bytes and self._pending_bytes + total > self._limits.pending_bytes:
            raise OverloadedError(f"{self._what}: at capacity, {self._pending_bytes} bytes are pending already")
        self._pending_bytes += total
        done.add_done_callback(partial(self._release, total))
        self._queue.extend(groups)
        self._start_request()

    def _release(self, size: int, _done: object) -> None:
        self._pending_bytes -= size

    def _groups(self, entries: Sequence[Entry], write: _PendingWrite) -> list[_EntryGroup]:
        """Return one group of all entries, or a group per entry if they exceed the limits of a request."""
        group = _EntryGroup(entries, write)
        if group.size <= self._limits.batch_bytes and group.mutations <= self._limits.mutations:
            return [group]
        return group.singles()

    async def drain(self) -> None:
        """Wait until no request is in flight."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    def _start_request(self) -> None:
        """Start the next request if entries wait and a slot is free; its batch is taken when its task runs."""
        busy = self._starting or len(self._in_flight) >= self._limits.in_flight
        if busy or not (self._queue or self._bisected):
            return
        self._starting = True
        # The task belongs to no caller: a cancelled caller keeps the entries of the others.
        request = asyncio.get_running_loop().create_task(self._send_batch())
        self._in_flight.add(request)
        request.add_done_callback(self._request_done)

    def _request_done(self, request: asyncio.Task[None]) -> None:
        self._in_flight.discard(request)
        self._start_request()

    async def _send_batch(self) -> None:
        batch = self._bisected.popleft() if self._bisected else self._next_batch()
        self._starting = False
        self._start_request()
        batch = [group for group in batch if not group.write.future.done()]
        if not batch:
            return
        loop = asyncio.get_running_loop()
        timeout = min(self._limits.call_timeout, max(group.write.deadline for group in batch) - loop.time())
        entries = [entry for group in batch for entry in group.entries]
        try:
            results = await self._send(entries, max(timeout, 0.001))
        except Exception as error:  # every caller of the batch gets it
            for group in batch:
                group.write.settle(len(group.entries), error)
            return
        if not any(results):
            for group in batch:
                group.write.settle(len(group.entries))
            return
        singles = [single for group in batch for single in group.singles()]
        if len(singles) > 1 and all(map(_is_invalid, results)):
            # The batch is bisected to isolate the invalid entry.
            middle = len(singles) // 2
            self._bisected += [singles[:middle], singles[middle:]]
            return
        self._settle(singles, results, loop)

    def _next_batch(self) -> list[_EntryGroup]:
        batch: list[_EntryGroup] = []
        size = mutations = 0
        while self._queue:
            group = self._queue[0]
            size += group.size
            mutations += group.mutations
            if batch and (size > self._limits.batch_bytes or mutations > self._limits.mutations):
                break
            batch.append(self._queue.popleft())
        return batch

    def _settle(
        self, singles: list[_EntryGroup], results: list[Exception | None], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Settle each entry by its result, and schedule the retry of those with a transient error."""
        retried: list[_EntryGroup] = []
        for single, error in zip(singles, results, strict=True):
            if error is None:
                single.write.settle(1)
            elif retry.is_transient(error):
                single.error = error
                retried.append(single)
            else:
                single.write.settle(1, retry.translate(error, f"writing to {self._what}"))
        if retried:
            # The wait takes no slot; new entries are sent meanwhile.
            most_tried = max(retried, key=lambda single: single.attempts)
            wait = most_tried.next_wait(self._deadline)
            for single in retried:
                single.attempts = most_tried.attempts
                single.waits = most_tried.waits
            loop.call_later(wait, self._requeue, retried)

    def _requeue(self, singles: list[_EntryGroup]) -> None:
        now = asyncio.get_running_loop().time()
        for single in singles:
            if single.write.deadline <= now:
                text = f"writing to {self._what}: not acknowledged within {self._deadline:g} s: {single.error}"
                single.write.settle(1, StoreUnavailableError(text))
            elif not single.write.future.done():
                self._queue.append(single)
        self._start_request()


class _PendingWrite:
    """The write of one caller: done when each of its entries is acknowledged or has failed.

    A failed entry doesn't stop the others: they are written before the caller gets the error.
    """

    __slots__ = ("deadline", "error", "future", "open", "result")

    def __init__(self, future: asyncio.Future[Any], result: Any, deadline: float, entries: int) -> None:
        self.future = future
        self.result = result
        self.deadline = deadline
        self.open = entries
        self.error: Exception | None = None

    def settle(self, entries: int, error: Exception | None = None) -> None:
        """Record the outcome of some entries."""
        self.error = self.error or error
        self.open -= entries
        if self.open == 0 and not self.future.done():
            if self.error is None:
                self.future.set_result(self.result)
            else:
                self.future.set_exception(self.error)


class _EntryGroup:
    """Entries of one pending write: all of them at first, single ones after a failure."""

    __slots__ = ("attempts", "entries", "error", "mutations", "size", "waits", "write")

    def __init__(self, entries: Sequence[Entry], write: _PendingWrite) -> None:
        self.entries = entries
        self.size = sum(map(len, map(_wire_of, entries)))
        self.mutations = sum(map(_mutations_of, entries))
        self.write = write
        self.attempts = 0
        self.waits: Iterator[float] | None = None
        self.error: Exception | None = None

    def singles(self) -> list[_EntryGroup]:
        """Return a group for each entry."""
        if len(self.entries) == 1:
            return [self]
        return [_EntryGroup([entry], self.write) for entry in self.entries]

    def next_wait(self, deadline: float) -> float:
        """Count an attempt and return the seconds to wait before the next one."""
        if self.waits is None:
            self.waits = retry.waits(deadline)
        self.attempts += 1
        return next(self.waits)


def _is_invalid(error: Exception | None) -> bool:
    return isinstance(error, CallError) and error.code is StatusCode.INVALID_ARGUMENT
