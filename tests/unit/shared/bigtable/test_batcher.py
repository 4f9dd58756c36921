"""Callers share calls, each learns the fate of its own entries, and nobody's failure is another's."""

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
from shared.bigtable.transport import CallError
from shared.errors import OverloadedError, StoreRefusedError, StoreUnavailableError

Answer = Callable[["Entry", list["Entry"]], Exception | None]

BUSY = CallError(StatusCode.UNAVAILABLE, "busy")
NO_TABLE = CallError(StatusCode.NOT_FOUND, "no table")
INVALID = CallError(StatusCode.INVALID_ARGUMENT, "bad entry")


class Entry:
    """An entry with a name."""

    def __init__(self, name: str, size: int = 10, mutations: int = 1) -> None:
        self.name = name
        self.wire = b"." * size
        self.mutations = mutations

    def __repr__(self) -> str:
        return self.name


class Store:
    """Stands for Bigtable: remembers the calls, holds them up while it is closed, answers as a test says."""

    def __init__(self, answer: Answer = lambda entry, batch: None) -> None:
        self.calls: list[list[str]] = []
        self.timeouts: list[float] = []
        self.stored: Counter[str] = Counter()
        self.under_way = 0
        self.most_under_way = 0
        self.open = asyncio.Event()
        self.open.set()
        self._answer = answer

    async def __call__(self, entries: Sequence[Entry], timeout: float) -> list[Exception | None]:
        self.calls.append([entry.name for entry in entries])
        self.timeouts.append(timeout)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            await self.open.wait()
        finally:
            self.under_way -= 1
        answers = [self._answer(entry, list(entries)) for entry in entries]
        self.stored.update(entry.name for entry, answer in zip(entries, answers, strict=True) if answer is None)
        return answers


def entries(*names: str) -> list[Entry]:
    return [Entry(name) for name in names]


def batcher_of(store: Store, *, deadline: float = 60, **limits: Any) -> Batcher:
    return Batcher(store, "table events", deadline=deadline, limits=BatchLimits(**limits))


def first_time(error: Exception, *names: str) -> Answer:
    """Answer the first time with an error for those names."""
    left = set(names)

    def answer(entry: Entry, batch: list[Entry]) -> Exception | None:
        if entry.name in left:
            left.remove(entry.name)
            return error
        return None

    return answer


async def settled(turns: int = 20) -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(turns):
        await asyncio.sleep(0)


class Clock:
    """Time that passes when a test says so, and the waits that were asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits: list[float] = []
        self._now = loop.time()
        self._due: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(loop, "time", lambda: self._now)
        monkeypatch.setattr(loop, "call_later", self._call_later)

    async def advance(self, seconds: float) -> None:
        await settled()
        end = self._now + seconds
        while due := [each for each in self._due if each[0] <= end]:
            first = min(due, key=lambda each: each[0])
            self._due.remove(first)
            self._now = max(self._now, first[0])
            first[1]()
            await settled()
        self._now = end

    def _call_later(self, wait: float, callback: Callable[..., None], *args: Any) -> None:
        self.waits.append(wait)
        self._due.append((self._now + wait, lambda: callback(*args)))


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(asyncio.get_running_loop(), monkeypatch)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long retries wait, one after the other; the last one again and again."""
    waited = [0.0]
    monkeypatch.setattr("shared.bigtable.retry.waits", lambda _: itertools.chain(waited, itertools.repeat(waited[-1])))
    return waited


# Sharing


async def test_a_lone_write_leaves_at_once() -> None:
    store = Store()

    await batcher_of(store).write(entries("a", "b"))

    assert store.calls == [["a", "b"]]


async def test_nothing_to_store_is_no_call() -> None:
    store = Store()

    await batcher_of(store).write([])

    assert store.calls == []


async def test_callers_of_the_same_moment_share_a_call() -> None:
    store = Store()
    batcher = batcher_of(store)

    await asyncio.gather(batcher.write(entries("a")), batcher.write(entries("b", "c")), batcher.write(entries("d")))

    assert store.calls == [["a", "b", "c", "d"]]


async def test_what_gathers_while_calls_are_under_way_is_one_batch() -> None:
    store = Store()
    store.open.clear()
    batcher = batcher_of(store, in_flight=1)
    first = asyncio.create_task(batcher.write(entries("first")))
    await settled()

    # given a call that is under way, when many more come
    more = [asyncio.create_task(batcher.write(entries(f"{number}"))) for number in range(100)]
    await settled()
    assert store.calls == [["first"]]

    # then they all leave together once it has landed
    store.open.set()
    await asyncio.gather(first, *more)
    assert store.calls == [["first"], [f"{number}" for number in range(100)]]


@pytest.mark.parametrize("in_flight", [1, 2, 4])
async def test_so_many_calls_are_under_way_at_once(in_flight: int) -> None:
    store = Store()
    store.open.clear()
    batcher = batcher_of(store, in_flight=in_flight, mutations=1)
    tasks = [asyncio.create_task(batcher.write(entries(f"{number}"))) for number in range(10)]
    await settled(50)

    assert store.under_way == in_flight

    store.open.set()
    await asyncio.gather(*tasks)
    assert store.most_under_way == in_flight
    assert sorted(store.stored.elements()) == sorted(f"{number}" for number in range(10))


@pytest.mark.parametrize(
    ("limits", "sizes", "batches"),
    [
        ({"mutations": 3}, [(1, 1)] * 7, [3, 3, 1]),
        ({"mutations": 3}, [(1, 2), (1, 2), (1, 1)], [1, 2]),
        ({"mutations": 3}, [(1, 9), (1, 1)], [1, 1]),  # what is larger than the bound goes alone
        ({"batch_bytes": 10}, [(5, 1), (5, 1), (1, 1)], [2, 1]),
        ({"batch_bytes": 10}, [(1, 1), (99, 1), (1, 1)], [1, 1, 1]),
    ],
)
async def test_batches_have_bounds(limits: dict[str, int], sizes: list[tuple[int, int]], batches: list[int]) -> None:
    store = Store()

    await batcher_of(store, in_flight=1, **limits).write(
        [Entry(f"{number}", size, mutations) for number, (size, mutations) in enumerate(sizes)]
    )

    assert list(map(len, store.calls)) == batches
    assert [name for call in store.calls for name in call] == [f"{number}" for number in range(len(sizes))]


# Failing


async def test_only_what_failed_is_sent_again_and_nobody_waits_for_it(clock: Clock, waits: list[float]) -> None:
    waits[:] = [1]
    store = Store(first_time(BUSY, "b"))
    batcher = batcher_of(store)
    good, bad = (asyncio.create_task(batcher.write(entries(*names))) for names in (["a"], ["b", "c"]))

    await good
    await clock.advance(0.9)
    assert not bad.done()

    await clock.advance(0.1)
    await bad
    assert store.calls == [["a", "b", "c"], ["b"]]
    assert store.stored == Counter("abc")


async def test_a_retry_takes_up_no_flight(clock: Clock, waits: list[float]) -> None:
    waits[:] = [1]
    store = Store(first_time(BUSY, "slow"))
    batcher = batcher_of(store, in_flight=1)
    slow = asyncio.create_task(batcher.write(entries("slow")))
    await settled()

    await batcher.write(entries("fresh"))
    assert not slow.done()

    await clock.advance(1)
    await slow
    assert store.calls == [["slow"], ["fresh"], ["slow"]]


async def test_waits_grow_from_try_to_try(clock: Clock, waits: list[float]) -> None:
    waits[:] = [0.1, 0.2, 0.4]
    failures = itertools.count()
    store = Store(lambda entry, batch: BUSY if next(failures) < 4 else None)
    caller = asyncio.create_task(batcher_of(store).write(entries("a")))

    await clock.advance(2)

    await caller
    assert clock.waits == [0.1, 0.2, 0.4, 0.4]


async def test_what_is_refused_for_good_fails_its_own_caller_alone() -> None:
    store = Store(lambda entry, batch: NO_TABLE if entry.name == "b" else None)
    batcher = batcher_of(store)

    outcomes = await asyncio.gather(
        batcher.write(entries("a")), batcher.write(entries("b", "c")), return_exceptions=True
    )

    assert outcomes[0] is None
    assert isinstance(outcomes[1], StoreRefusedError)
    assert str(outcomes[1]) == "writing to table events: NOT_FOUND: no table"
    assert store.calls == [["a", "b", "c"]]


async def test_the_first_of_several_errors_is_the_callers() -> None:
    answers = {"a": NO_TABLE, "b": CallError(StatusCode.PERMISSION_DENIED, "no")}

    with pytest.raises(StoreRefusedError, match="NOT_FOUND"):
        await batcher_of(Store(lambda entry, batch: answers[entry.name])).write(entries("a", "b"))


async def test_an_entry_that_fails_for_good_doesnt_end_the_others_way() -> None:
    answers = {"a": [NO_TABLE], "b": [BUSY, BUSY, None]}
    store = Store(lambda entry, batch: answers[entry.name].pop(0))

    with pytest.raises(StoreRefusedError):
        await batcher_of(store).write(entries("a", "b"))

    assert store.calls == [["a", "b"], ["b"], ["b"]]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
async def test_a_refused_batch_is_split_until_the_guilty_entry_stands_alone(count: int) -> None:
    def answer(entry: Entry, batch: list[Entry]) -> Exception | None:
        return INVALID if any(each.name == "bad" for each in batch) else None

    store = Store(answer)
    batcher = batcher_of(store, in_flight=2)
    names = [f"{number}" for number in range(count)]

    outcomes = await asyncio.gather(*(batcher.write(entries(name)) for name in [*names, "bad"]), return_exceptions=True)

    assert outcomes[:-1] == [None] * count
    assert isinstance(outcomes[-1], StoreRefusedError)
    assert store.stored == Counter(names)
    assert ["bad"] in store.calls
    assert len(store.calls) <= 2 * count.bit_length() + 1


async def test_halves_of_a_refused_batch_are_not_mixed_with_others() -> None:
    def answer(entry: Entry, batch: list[Entry]) -> Exception | None:
        return INVALID if any(each.name == "bad" for each in batch) else None

    store = Store(answer)
    store.open.clear()
    batcher = batcher_of(store, in_flight=1)
    first = [asyncio.create_task(batcher.write(entries(name))) for name in ("a", "bad")]
    await settled()
    later = asyncio.create_task(batcher.write(entries("later")))
    await settled()

    store.open.set()
    await asyncio.gather(*first, later, return_exceptions=True)

    assert store.calls == [["a", "bad"], ["a"], ["bad"], ["later"]]


async def test_an_error_of_the_call_itself_reaches_all_its_callers() -> None:
    async def send(batch: Sequence[Entry], timeout: float) -> list[Exception | None]:
        raise RuntimeError("a bug")

    batcher = Batcher(send, "table events", deadline=60)

    outcomes = await asyncio.gather(batcher.write(entries("a")), batcher.write(entries("b")), return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["a bug", "a bug"]


# Time


async def test_after_the_deadline_an_entry_is_given_up(clock: Clock, waits: list[float]) -> None:
    waits[:] = [1]
    store = Store(lambda entry, batch: BUSY if entry.name == "bad" else None)
    batcher = batcher_of(store, deadline=2.5)
    good, bad = (asyncio.create_task(batcher.write(entries(name))) for name in ("good", "bad"))

    await clock.advance(2.5)
    assert not bad.done()
    await clock.advance(0.5)

    await good
    with pytest.raises(StoreUnavailableError) as caught:
        await bad
    assert str(caught.value) == "writing to table events: not acknowledged within 2.5 s: UNAVAILABLE: busy"
    assert store.calls == [["good", "bad"], ["bad"], ["bad"]]
    assert store.timeouts == pytest.approx([2.5, 1.5, 0.5])


@pytest.mark.parametrize(("deadline", "call_timeout", "most"), [(60, 15, 15), (4, 15, 4), (0, 15, 0.001)])
async def test_a_call_may_take_no_longer_than_its_entries_have(
    deadline: float, call_timeout: float, most: float
) -> None:
    store = Store()

    await batcher_of(store, deadline=deadline, call_timeout=call_timeout).write(entries("a"))

    assert most * 0.9 <= store.timeouts[0] <= most


# Overload


async def test_more_than_may_wait_is_refused() -> None:
    store = Store()
    store.open.clear()
    batcher = batcher_of(store, pending_bytes=30)
    waiting = asyncio.create_task(batcher.write(entries("a", "b")))
    await settled()

    with pytest.raises(OverloadedError, match="table events: at capacity, 20 bytes are pending already"):
        await batcher.write(entries("c", "d"))
    fits = asyncio.create_task(batcher.write(entries("e")))

    # once that is stored there is room again
    store.open.set()
    await asyncio.gather(waiting, fits)
    await batcher.write(entries("c", "d"))
    assert store.stored == Counter("abecd")


async def test_a_caller_alone_is_let_in_whatever_its_size() -> None:
    store = Store()

    await batcher_of(store, pending_bytes=30, batch_bytes=5).write([Entry("a", 1_000)])

    assert store.stored == Counter("a")


@pytest.mark.parametrize("outcome", [BUSY, NO_TABLE])
async def test_what_failed_makes_room(outcome: Exception) -> None:
    store = Store(lambda entry, batch: outcome if entry.name == "a" else None)
    batcher = batcher_of(store, deadline=0, pending_bytes=10)
    with pytest.raises((StoreUnavailableError, StoreRefusedError)):
        await batcher.write(entries("a"))

    await batcher.write(entries("b"))

    assert store.stored == Counter("b")


# Cancelling


async def test_a_cancelled_caller_harms_nobody() -> None:
    store = Store()
    store.open.clear()
    batcher = batcher_of(store, in_flight=1, pending_bytes=30)
    cancelled, other = (asyncio.create_task(batcher.write(entries(name))) for name in "ab")
    await settled()
    queued = asyncio.create_task(batcher.write(entries("c")))
    await settled()

    cancelled.cancel()
    queued.cancel()
    await asyncio.gather(cancelled, queued, return_exceptions=True)
    assert cancelled.cancelled()
    assert queued.cancelled()

    # the call under way goes on; what nobody waits for any more isn't begun
    store.open.set()
    await other
    await settled()
    assert store.calls == [["a", "b"]]
    # and its room is free
    await batcher.write(entries("d", "e", "f"))


async def test_what_nobody_waits_for_is_not_tried_again(clock: Clock) -> None:
    store = Store(lambda entry, batch: BUSY)
    caller = asyncio.create_task(batcher_of(store).write(entries("a")))
    await settled()

    caller.cancel()
    await clock.advance(10)

    assert store.calls == [["a"]]


async def test_drained_waits_for_the_calls_under_way() -> None:
    store = Store()
    store.open.clear()
    batcher = batcher_of(store)
    await batcher.drain()
    caller = asyncio.create_task(batcher.write(entries("a")))
    await settled()
    drained = asyncio.create_task(batcher.drain())
    await settled()
    assert not drained.done()

    store.open.set()
    await drained

    assert store.stored == Counter("a")
    await caller


# Whatever happens


@settings(max_examples=60)
@given(
    callers=st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=5), min_size=1, max_size=12),
    limits=st.fixed_dictionaries(
        {"in_flight": st.integers(1, 4), "mutations": st.integers(1, 6), "batch_bytes": st.integers(1, 200)}
    ),
    seed=st.integers(0, 2**32),
)
def test_success_means_stored_and_every_caller_gets_an_answer(
    callers: list[list[int]], limits: dict[str, int], seed: int
) -> None:
    chance = random.Random(seed)
    guilty = {f"{number}" for number in range(len(callers)) if chance.random() < 0.1}

    def answer(entry: Entry, batch: list[Entry]) -> Exception | None:
        if any(each.name.split("-")[0] in guilty for each in batch):
            return INVALID
        return chance.choice([None, None, None, BUSY, CallError(StatusCode.ABORTED, "x")])

    async def run() -> tuple[Store, list[Any]]:
        store = Store(answer)
        batcher = batcher_of(store, **limits)
        tasks = []
        for number, sizes in enumerate(callers):
            batch = [Entry(f"{number}-{index}", size) for index, size in enumerate(sizes)]
            tasks.append(asyncio.ensure_future(batcher.write(batch)))
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
        return store, await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    loop = asyncio.new_event_loop()
    try:
        store, outcomes = loop.run_until_complete(run())
    finally:
        loop.close()

    for number, (sizes, outcome) in enumerate(zip(callers, outcomes, strict=True)):
        if str(number) in guilty:
            assert isinstance(outcome, StoreRefusedError)
        else:
            assert outcome is None
            assert all(store.stored[f"{number}-{index}"] == 1 for index in range(len(sizes)))
    assert store.most_under_way <= limits["in_flight"]
