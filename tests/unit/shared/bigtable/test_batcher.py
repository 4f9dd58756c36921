"""The batcher: concurrent callers share requests, and each gets the outcome of its own entries only."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bigtable.batcher import Batcher, BatchLimits
from shared.bigtable.transport import CallError, Transport
from shared.errors import OverloadedError, StoreRefusedError, StoreUnavailableError

Respond = Callable[["Entry", list["Entry"]], Exception | None]

BUSY = CallError(StatusCode.UNAVAILABLE, "busy")
NO_TABLE = CallError(StatusCode.NOT_FOUND, "no table")
INVALID = CallError(StatusCode.INVALID_ARGUMENT, "bad entry")


class Entry:
    """An entry with a name; its wire format is as long as `size`."""

    def __init__(self, name: str, size: int = 10, mutations: int = 1) -> None:
        self.name = name
        self.wire = b"." * size
        self.mutations = mutations

    def __repr__(self) -> str:
        return self.name


class FakeBigtable:
    """A fake of Bigtable: records requests, holds them while it is closed, and responds as a test specifies."""

    def __init__(self, respond: Respond = lambda entry, batch: None) -> None:
        self.requests: list[list[str]] = []
        self.timeouts: list[float] = []
        self.stored: Counter[str] = Counter()
        self.in_flight = 0
        self.max_in_flight = 0
        self.open = asyncio.Event()
        self.open.set()
        self._respond = respond

    async def __call__(self, entries: Sequence[Entry], timeout: float) -> list[Exception | None]:
        self.requests.append([entry.name for entry in entries])
        self.timeouts.append(timeout)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            await self.open.wait()
        finally:
            self.in_flight -= 1
        results = [self._respond(entry, list(entries)) for entry in entries]
        self.stored.update(entry.name for entry, result in zip(entries, results, strict=True) if result is None)
        return results


def entries(*names: str) -> list[Entry]:
    return [Entry(name) for name in names]


def make_batcher(bigtable: FakeBigtable, *, deadline: float = 60, **limits: Any) -> Batcher:
    return Batcher(bigtable, "table events", deadline=deadline, limits=BatchLimits(**limits))


def fail_once(error: Exception, *names: str) -> Respond:
    """Return a function that responds with an error to the first request of each named entry."""
    remaining = set(names)

    def respond(entry: Entry, batch: list[Entry]) -> Exception | None:
        if entry.name in remaining:
            remaining.remove(entry.name)
            return error
        return None

    return respond


async def run_pending(turns: int = 20) -> None:
    """Run everything in the event loop that waits for no time."""
    for _ in range(turns):
        await asyncio.sleep(0)


class Clock:
    """A fake clock of the event loop: a test advances it, and it records the waits of timers.

    The loop is shared, so it may have timers of connections that other tests left open; they stay as they are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits: list[float] = []
        self._now = loop.time()
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._original = loop.call_later
        monkeypatch.setattr(loop, "time", lambda: self._now)
        monkeypatch.setattr(loop, "call_later", self._call_later)

    async def advance(self, seconds: float) -> None:
        await run_pending()
        end = self._now + seconds
        while due := [each for each in self._due if each[0] <= end]:
            first = min(due, key=lambda each: each[0])
            self._due.remove(first)
            self._now = max(self._now, first[0])
            first[1]()
            await run_pending()
        self._now = end

    def _call_later(self, wait: float, callback: Callable[..., None], *args: Any) -> asyncio.TimerHandle | None:
        if isinstance(getattr(callback, "__self__", None), Transport):
            return self._original(wait, callback, *args)
        self.waits.append(wait)
        self._due.append((self._now + wait, lambda: callback(*args)))
        return None


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(asyncio.get_running_loop(), monkeypatch)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts; the last one repeats."""
    seconds = [0.0]
    monkeypatch.setattr(
        "shared.bigtable.retry.waits", lambda _: itertools.chain(seconds, itertools.repeat(seconds[-1]))
    )
    return seconds


# Batches


async def test_a_lone_write_is_sent_at_once() -> None:
    bigtable = FakeBigtable()

    await make_batcher(bigtable).write(entries("a", "b"))

    assert bigtable.requests == [["a", "b"]]


async def test_an_empty_write_sends_no_request() -> None:
    bigtable = FakeBigtable()

    await make_batcher(bigtable).write([])

    assert bigtable.requests == []


async def test_concurrent_callers_share_a_request() -> None:
    bigtable = FakeBigtable()
    batcher = make_batcher(bigtable)

    await asyncio.gather(batcher.write(entries("a")), batcher.write(entries("b", "c")), batcher.write(entries("d")))

    assert bigtable.requests == [["a", "b", "c", "d"]]


async def test_entries_that_arrive_while_a_request_is_in_flight_form_one_batch() -> None:
    bigtable = FakeBigtable()
    bigtable.open.clear()
    batcher = make_batcher(bigtable, in_flight=1)
    first = asyncio.create_task(batcher.write(entries("first")))
    await run_pending()

    # many entries arrive while a request is in flight
    later = [asyncio.create_task(batcher.write(entries(f"{number}"))) for number in range(100)]
    await run_pending()
    assert bigtable.requests == [["first"]]

    # all of them are sent together after its response
    bigtable.open.set()
    await asyncio.gather(first, *later)
    assert bigtable.requests == [["first"], [f"{number}" for number in range(100)]]


@pytest.mark.parametrize("in_flight", [1, 2, 4])
async def test_requests_in_flight_are_limited(in_flight: int) -> None:
    bigtable = FakeBigtable()
    bigtable.open.clear()
    batcher = make_batcher(bigtable, in_flight=in_flight, mutations=1)
    tasks = [asyncio.create_task(batcher.write(entries(f"{number}"))) for number in range(10)]
    await run_pending(50)

    assert bigtable.in_flight == in_flight

    bigtable.open.set()
    await asyncio.gather(*tasks)
    assert bigtable.max_in_flight == in_flight
    assert sorted(bigtable.stored.elements()) == sorted(f"{number}" for number in range(10))


@pytest.mark.parametrize(
    ("limits", "sizes", "batches"),
    [
        ({"mutations": 3}, [(1, 1)] * 7, [3, 3, 1]),
        ({"mutations": 3}, [(1, 2), (1, 2), (1, 1)], [1, 2]),
        ({"mutations": 3}, [(1, 9), (1, 1)], [1, 1]),  # an entry above the limit is sent alone
        ({"batch_bytes": 10}, [(5, 1), (5, 1), (1, 1)], [2, 1]),
        ({"batch_bytes": 10}, [(1, 1), (99, 1), (1, 1)], [1, 1, 1]),
    ],
)
async def test_batches_are_bounded(limits: dict[str, int], sizes: list[tuple[int, int]], batches: list[int]) -> None:
    bigtable = FakeBigtable()

    await make_batcher(bigtable, in_flight=1, **limits).write(
        [Entry(f"{number}", size, mutations) for number, (size, mutations) in enumerate(sizes)]
    )

    assert list(map(len, bigtable.requests)) == batches
    assert [name for request in bigtable.requests for name in request] == [f"{number}" for number in range(len(sizes))]


# Errors


async def test_only_failed_entries_are_retried_and_other_callers_do_not_wait(clock: Clock, waits: list[float]) -> None:
    waits[:] = [1]
    bigtable = FakeBigtable(fail_once(BUSY, "b"))
    batcher = make_batcher(bigtable)
    good, bad = (asyncio.create_task(batcher.write(entries(*names))) for names in (["a"], ["b", "c"]))

    await good
    await clock.advance(0.9)
    assert not bad.done()

    await clock.advance(0.1)
    await bad
    assert bigtable.requests == [["a", "b", "c"], ["b"]]
    assert bigtable.stored == Counter("abc")


async def test_a_waiting_retry_takes_no_slot(clock: Clock, waits: list[float]) -> None:
    waits[:] = [1]
    bigtable = FakeBigtable(fail_once(BUSY, "slow"))
    batcher = make_batcher(bigtable, in_flight=1)
    slow = asyncio.create_task(batcher.write(entries("slow")))
    await run_pending()

    await batcher.write(entries("fresh"))
    assert not slow.done()

    await clock.advance(1)
    await slow
    assert bigtable.requests == [["slow"], ["fresh"], ["slow"]]


async def test_waits_grow_between_attempts(clock: Clock, waits: list[float]) -> None:
    waits[:] = [0.1, 0.2, 0.4]
    failures = itertools.count()
    bigtable = FakeBigtable(lambda entry, batch: BUSY if next(failures) < 4 else None)
    caller = asyncio.create_task(make_batcher(bigtable).write(entries("a")))

    await clock.advance(2)

    await caller
    assert clock.waits == [0.1, 0.2, 0.4, 0.4]


async def test_a_permanent_error_reaches_only_its_own_caller() -> None:
    bigtable = FakeBigtable(lambda entry, batch: NO_TABLE if entry.name == "b" else None)
    batcher = make_batcher(bigtable)

    outcomes = await asyncio.gather(
        batcher.write(entries("a")), batcher.write(entries("b", "c")), return_exceptions=True
    )

    assert outcomes[0] is None
    assert isinstance(outcomes[1], StoreRefusedError)
    assert str(outcomes[1]) == "writing to table events: NOT_FOUND: no table"
    assert bigtable.requests == [["a", "b", "c"]]


async def test_a_caller_gets_the_first_of_several_errors() -> None:
    results = {"a": NO_TABLE, "b": CallError(StatusCode.PERMISSION_DENIED, "no")}

    with pytest.raises(StoreRefusedError, match="NOT_FOUND"):
        await make_batcher(FakeBigtable(lambda entry, batch: results[entry.name])).write(entries("a", "b"))


async def test_after_a_permanent_error_the_other_entries_are_still_retried() -> None:
    results = {"a": [NO_TABLE], "b": [BUSY, BUSY, None]}
    bigtable = FakeBigtable(lambda entry, batch: results[entry.name].pop(0))

    with pytest.raises(StoreRefusedError):
        await make_batcher(bigtable).write(entries("a", "b"))

    assert bigtable.requests == [["a", "b"], ["b"], ["b"]]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
async def test_a_refused_batch_is_bisected_to_isolate_the_invalid_entry(count: int) -> None:
    def respond(entry: Entry, batch: list[Entry]) -> Exception | None:
        return INVALID if any(each.name == "bad" for each in batch) else None

    bigtable = FakeBigtable(respond)
    batcher = make_batcher(bigtable, in_flight=2)
    names = [f"{number}" for number in range(count)]

    outcomes = await asyncio.gather(*(batcher.write(entries(name)) for name in [*names, "bad"]), return_exceptions=True)

    assert outcomes[:-1] == [None] * count
    assert isinstance(outcomes[-1], StoreRefusedError)
    assert bigtable.stored == Counter(names)
    assert ["bad"] in bigtable.requests
    assert len(bigtable.requests) <= 2 * count.bit_length() + 1


async def test_halves_of_a_refused_batch_are_not_mixed_with_other_entries() -> None:
    def respond(entry: Entry, batch: list[Entry]) -> Exception | None:
        return INVALID if any(each.name == "bad" for each in batch) else None

    bigtable = FakeBigtable(respond)
    bigtable.open.clear()
    batcher = make_batcher(bigtable, in_flight=1)
    first = [asyncio.create_task(batcher.write(entries(name))) for name in ("a", "bad")]
    await run_pending()
    later = asyncio.create_task(batcher.write(entries("later")))
    await run_pending()

    bigtable.open.set()
    await asyncio.gather(*first, later, return_exceptions=True)

    assert bigtable.requests == [["a", "bad"], ["a"], ["bad"], ["later"]]


async def test_an_unexpected_error_of_a_request_reaches_all_its_callers() -> None:
    async def send(batch: Sequence[Entry], timeout: float) -> list[Exception | None]:
        raise RuntimeError("a bug")

    batcher = Batcher(send, "table events", deadline=60)

    outcomes = await asyncio.gather(batcher.write(entries("a")), batcher.write(entries("b")), return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["a bug", "a bug"]


# Deadlines


async def test_an_entry_fails_after_its_deadline(clock: Clock, waits: list[float]) -> None:
    waits[:] = [1]
    bigtable = FakeBigtable(lambda entry, batch: BUSY if entry.name == "bad" else None)
    batcher = make_batcher(bigtable, deadline=2.5)
    good, bad = (asyncio.create_task(batcher.write(entries(name))) for name in ("good", "bad"))

    await clock.advance(2.5)
    assert not bad.done()
    await clock.advance(0.5)

    await good
    with pytest.raises(StoreUnavailableError) as caught:
        await bad
    assert str(caught.value) == "writing to table events: not acknowledged within 2.5 s: UNAVAILABLE: busy"
    assert bigtable.requests == [["good", "bad"], ["bad"], ["bad"]]
    assert bigtable.timeouts == pytest.approx([2.5, 1.5, 0.5])


@pytest.mark.parametrize(("deadline", "call_timeout", "max_timeout"), [(60, 15, 15), (4, 15, 4), (0, 15, 0.001)])
async def test_the_timeout_of_a_request_ends_with_the_deadline_of_its_entries(
    deadline: float, call_timeout: float, max_timeout: float
) -> None:
    bigtable = FakeBigtable()

    await make_batcher(bigtable, deadline=deadline, call_timeout=call_timeout).write(entries("a"))

    assert max_timeout * 0.9 <= bigtable.timeouts[0] <= max_timeout


# Overload


async def test_a_write_above_the_pending_limit_is_refused() -> None:
    bigtable = FakeBigtable()
    bigtable.open.clear()
    batcher = make_batcher(bigtable, pending_bytes=30)
    waiting = asyncio.create_task(batcher.write(entries("a", "b")))
    await run_pending()

    with pytest.raises(OverloadedError, match="table events: at capacity, 20 bytes are pending already"):
        await batcher.write(entries("c", "d"))
    fits = asyncio.create_task(batcher.write(entries("e")))

    # after those are stored, their bytes are free again
    bigtable.open.set()
    await asyncio.gather(waiting, fits)
    await batcher.write(entries("c", "d"))
    assert bigtable.stored == Counter("abecd")


async def test_a_lone_caller_is_admitted_whatever_its_size() -> None:
    bigtable = FakeBigtable()

    await make_batcher(bigtable, pending_bytes=30, batch_bytes=5).write([Entry("a", 1_000)])

    assert bigtable.stored == Counter("a")


@pytest.mark.parametrize("outcome", [BUSY, NO_TABLE])
async def test_a_failed_write_releases_its_bytes(outcome: Exception) -> None:
    bigtable = FakeBigtable(lambda entry, batch: outcome if entry.name == "a" else None)
    batcher = make_batcher(bigtable, deadline=0, pending_bytes=10)
    with pytest.raises((StoreUnavailableError, StoreRefusedError)):
        await batcher.write(entries("a"))

    await batcher.write(entries("b"))

    assert bigtable.stored == Counter("b")


# Cancellation


async def test_a_cancelled_caller_keeps_the_entries_of_others() -> None:
    bigtable = FakeBigtable()
    bigtable.open.clear()
    batcher = make_batcher(bigtable, in_flight=1, pending_bytes=30)
    cancelled, other = (asyncio.create_task(batcher.write(entries(name))) for name in "ab")
    await run_pending()
    queued = asyncio.create_task(batcher.write(entries("c")))
    await run_pending()

    cancelled.cancel()
    queued.cancel()
    await asyncio.gather(cancelled, queued, return_exceptions=True)
    assert cancelled.cancelled()
    assert queued.cancelled()

    # the request in flight completes; a cancelled write that isn't in flight is never sent
    bigtable.open.set()
    await other
    await run_pending()
    assert bigtable.requests == [["a", "b"]]
    # the bytes of both are free
    await batcher.write(entries("d", "e", "f"))


async def test_a_cancelled_write_is_not_retried(clock: Clock) -> None:
    bigtable = FakeBigtable(lambda entry, batch: BUSY)
    caller = asyncio.create_task(make_batcher(bigtable).write(entries("a")))
    await run_pending()

    caller.cancel()
    await clock.advance(10)

    assert bigtable.requests == [["a"]]


async def test_drain_waits_for_the_requests_in_flight() -> None:
    bigtable = FakeBigtable()
    bigtable.open.clear()
    batcher = make_batcher(bigtable)
    await batcher.drain()
    caller = asyncio.create_task(batcher.write(entries("a")))
    await run_pending()
    drained = asyncio.create_task(batcher.drain())
    await run_pending()
    assert not drained.done()

    bigtable.open.set()
    await drained

    assert bigtable.stored == Counter("a")
    await caller


# Invariants


@settings(max_examples=60)
@given(
    callers=st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=5), min_size=1, max_size=12),
    limits=st.fixed_dictionaries(
        {"in_flight": st.integers(1, 4), "mutations": st.integers(1, 6), "batch_bytes": st.integers(1, 200)}
    ),
    seed=st.integers(0, 2**32),
)
def test_every_caller_gets_a_result_and_success_means_stored(
    callers: list[list[int]], limits: dict[str, int], seed: int
) -> None:
    chance = random.Random(seed)
    invalid = {f"{number}" for number in range(len(callers)) if chance.random() < 0.1}

    def respond(entry: Entry, batch: list[Entry]) -> Exception | None:
        if any(each.name.split("-")[0] in invalid for each in batch):
            return INVALID
        return chance.choice([None, None, None, BUSY, CallError(StatusCode.ABORTED, "x")])

    async def run() -> tuple[FakeBigtable, list[Any]]:
        bigtable = FakeBigtable(respond)
        batcher = make_batcher(bigtable, **limits)
        tasks = []
        for number, sizes in enumerate(callers):
            batch = [Entry(f"{number}-{index}", size) for index, size in enumerate(sizes)]
            tasks.append(asyncio.ensure_future(batcher.write(batch)))
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
        return bigtable, await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    loop = asyncio.new_event_loop()
    try:
        bigtable, outcomes = loop.run_until_complete(run())
    finally:
        loop.close()

    for number, (sizes, outcome) in enumerate(zip(callers, outcomes, strict=True)):
        if str(number) in invalid:
            assert isinstance(outcome, StoreRefusedError)
        else:
            assert outcome is None
            assert all(bigtable.stored[f"{number}-{index}"] == 1 for index in range(len(sizes)))
    assert bigtable.max_in_flight <= limits["in_flight"]
