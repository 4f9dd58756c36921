"""What an instance holds stays within bounds, in the order of arrival, whoever is called off meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import OverloadedError
from shared.ingest.flow_control import FlowControl, FlowLimits

LIMITS = FlowLimits(inside=10, waiting=20)


@pytest.fixture
def room() -> FlowControl:
    return FlowControl(patience=60, limits=LIMITS)


class Guest:
    """Stays until it is told to leave."""

    def __init__(self, room: FlowControl, size: int) -> None:
        self.inside = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(room, size))

    async def _visit(self, room: FlowControl, size: int) -> None:
        async with room.admit(size):
            self.inside = True
            await self._leave.wait()
        self.inside = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_no_room_waits_for_his_turn(room: FlowControl) -> None:
    first, second, third, small = (Guest(room, size) for size in (6, 4, 8, 1))
    await settle()
    assert (first.inside, second.inside, third.inside, small.inside) == (True, True, False, False)

    await second.leave()
    await settle()
    assert not third.inside
    assert not small.inside  # there is room, but not its turn

    await first.leave()
    await settle()
    assert third.inside
    assert small.inside
    await asyncio.gather(third.leave(), small.leave())


async def test_who_is_alone_is_let_in_whatever_the_size(room: FlowControl) -> None:
    async with room.admit(1_000):
        waiting = Guest(room, 1)
        await settle()
        assert not waiting.inside
    await settle()
    assert waiting.inside
    await waiting.leave()


async def test_when_too_much_waits_one_is_sent_away(room: FlowControl) -> None:
    async with room.admit(10):
        guests = [Guest(room, 10), Guest(room, 10)]
        await settle()
        with pytest.raises(OverloadedError, match="20 bytes of messages wait for room already"):
            async with room.admit(1):
                pass
    for guest in guests:
        await guest.leave()


async def test_who_waits_for_too_long_is_sent_away() -> None:
    room = FlowControl(patience=0.01, limits=LIMITS)
    async with room.admit(10):
        with pytest.raises(OverloadedError, match=r"no room for 5 bytes within 0\.01 s"):
            async with room.admit(5):
                pass
    async with room.admit(10):
        pass


async def test_who_turns_out_larger_keeps_others_waiting(room: FlowControl) -> None:
    async with room.admit(1) as stay:
        room.grow(stay, 9)
        other = Guest(room, 1)
        await settle()
        assert not other.inside
    await settle()
    assert other.inside
    await other.leave()


async def test_those_who_wait_come_in_one_by_one_and_grow_before_the_next(room: FlowControl) -> None:
    async def visit() -> None:
        nonlocal inside, most
        async with room.admit(1) as stay:
            room.grow(stay, 8)
            inside += 1
            most = max(most, inside)
            await settle()
            inside -= 1

    inside = most = 0
    async with room.admit(10):
        visits = [asyncio.create_task(visit()) for _ in range(5)]
        await settle()
    await asyncio.gather(*visits)

    assert most == 2


async def test_behind_a_large_one_that_gives_up_a_small_one_gets_in(room: FlowControl) -> None:
    async with room.admit(5):
        large, small = Guest(room, 9), Guest(room, 3)
        await settle()
        large.task.cancel()
        await settle()
        assert small.inside
        await small.leave()


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["stay", "cancel", "leave"])), max_size=30))
def test_whoever_is_called_off_the_room_is_empty_in_the_end(visits: list[tuple[int, str]]) -> None:
    async def play() -> None:
        room = FlowControl(patience=60, limits=FlowLimits(inside=10, waiting=1_000))
        guests: list[Guest] = []
        for size, what in visits:
            guests.append(Guest(room, size))
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
        assert (room._inside, room._waiting_bytes, len(room._waiting)) == (0, 0, 0)

    asyncio.run(play())
