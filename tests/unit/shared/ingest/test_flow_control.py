"""What an instance holds stays within bounds, in the order of arrival, whoever is called off meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import OverloadedError
from shared.ingest.flow_control import FlowControl, FlowLimits

LIMITS = FlowLimits(active_bytes=10, waiting_bytes=20)


@pytest.fixture
def flow_control() -> FlowControl:
    return FlowControl(max_wait=60, limits=LIMITS)


class Guest:
    """Stays until it is told to leave."""

    def __init__(self, flow_control: FlowControl, size: int) -> None:
        self.inside = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(flow_control, size))

    async def _visit(self, flow_control: FlowControl, size: int) -> None:
        async with flow_control.reserve(size):
            self.inside = True
            await self._leave.wait()
        self.inside = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_no_flow_control_waits_for_his_turn(flow_control: FlowControl) -> None:
    first, second, third, small = (Guest(flow_control, size) for size in (6, 4, 8, 1))
    await settle()
    assert (first.inside, second.inside, third.inside, small.inside) == (True, True, False, False)

    await second.leave()
    await settle()
    assert not third.inside
    assert not small.inside  # there is flow_control, but not its turn

    await first.leave()
    await settle()
    assert third.inside
    assert small.inside
    await asyncio.gather(third.leave(), small.leave())


async def test_who_is_alone_is_let_in_whatever_the_size(flow_control: FlowControl) -> None:
    async with flow_control.reserve(1_000):
        waiting = Guest(flow_control, 1)
        await settle()
        assert not waiting.inside
    await settle()
    assert waiting.inside
    await waiting.leave()


async def test_when_too_much_waits_one_is_sent_away(flow_control: FlowControl) -> None:
    async with flow_control.reserve(10):
        guests = [Guest(flow_control, 10), Guest(flow_control, 10)]
        await settle()
        with pytest.raises(OverloadedError, match="20 bytes of messages are waiting already"):
            async with flow_control.reserve(1):
                pass
    for guest in guests:
        await guest.leave()


async def test_who_waits_for_too_long_is_sent_away() -> None:
    flow_control = FlowControl(max_wait=0.01, limits=LIMITS)
    async with flow_control.reserve(10):
        with pytest.raises(OverloadedError, match=r"no room for 5 bytes within 0\.01 s"):
            async with flow_control.reserve(5):
                pass
    async with flow_control.reserve(10):
        pass


async def test_who_turns_out_larger_keeps_others_waiters(flow_control: FlowControl) -> None:
    async with flow_control.reserve(1) as stay:
        flow_control.resize(stay, 9)
        other = Guest(flow_control, 1)
        await settle()
        assert not other.inside
    await settle()
    assert other.inside
    await other.leave()


async def test_those_who_wait_come_in_one_by_one_and_grow_before_the_next(flow_control: FlowControl) -> None:
    async def visit() -> None:
        nonlocal inside, most
        async with flow_control.reserve(1) as stay:
            flow_control.resize(stay, 8)
            inside += 1
            most = max(most, inside)
            await settle()
            inside -= 1

    inside = most = 0
    async with flow_control.reserve(10):
        visits = [asyncio.create_task(visit()) for _ in range(5)]
        await settle()
    await asyncio.gather(*visits)

    assert most == 2


async def test_behind_a_large_one_that_gives_up_a_small_one_gets_in(flow_control: FlowControl) -> None:
    async with flow_control.reserve(5):
        large, small = Guest(flow_control, 9), Guest(flow_control, 3)
        await settle()
        large.task.cancel()
        await settle()
        assert small.inside
        await small.leave()


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["stay", "cancel", "leave"])), max_size=30))
def test_whoever_is_called_off_the_reservations_are_released_in_the_end(visits: list[tuple[int, str]]) -> None:
    async def play() -> None:
        flow_control = FlowControl(max_wait=60, limits=FlowLimits(active_bytes=10, waiting_bytes=1_000))
        guests: list[Guest] = []
        for size, what in visits:
            guests.append(Guest(flow_control, size))
            if what == "cancel":
                await settle()
                guests.pop(len(guests) // 2).task.cancel()
            elif what == "leave":
                await settle()
                inside = [guest for guest in guests if guest.inside]
                if inside:
                    guests.remove(inside[0])
                    inside[0]._leave.set()
                    (guests or inside)[-1].task.cancel()  # called off while it may be let in
        while guests:
            await settle()
            guest = guests.pop(0)
            guest._leave.set()
            with suppress(asyncio.CancelledError):
                await guest.task
        await settle()
        assert (flow_control._active, flow_control._waiting_bytes, len(flow_control._waiters)) == (0, 0, 0)

    asyncio.run(play())
