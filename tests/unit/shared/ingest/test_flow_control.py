"""Flow control bounds the reserved bytes and grants reservations in order, also after cancellations."""

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


class Caller:
    """A caller that holds its reservation until `leave`."""

    def __init__(self, flow_control: FlowControl, size: int) -> None:
        self.admitted = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._hold(flow_control, size))

    async def _hold(self, flow_control: FlowControl, size: int) -> None:
        async with flow_control.reserve(size):
            self.admitted = True
            await self._leave.wait()
        self.admitted = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def run_pending() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_reservations_are_granted_in_the_order_of_arrival(flow_control: FlowControl) -> None:
    first, second, third, small = (Caller(flow_control, size) for size in (6, 4, 8, 1))
    await run_pending()
    assert (first.admitted, second.admitted, third.admitted, small.admitted) == (True, True, False, False)

    await second.leave()
    await run_pending()
    assert not third.admitted
    assert not small.admitted  # its bytes are available, but another caller is before it

    await first.leave()
    await run_pending()
    assert third.admitted
    assert small.admitted
    await asyncio.gather(third.leave(), small.leave())


async def test_a_lone_caller_is_admitted_whatever_its_size(flow_control: FlowControl) -> None:
    async with flow_control.reserve(1_000):
        waiting = Caller(flow_control, 1)
        await run_pending()
        assert not waiting.admitted
    await run_pending()
    assert waiting.admitted
    await waiting.leave()


async def test_a_caller_above_the_waiting_limit_is_refused(flow_control: FlowControl) -> None:
    async with flow_control.reserve(10):
        callers = [Caller(flow_control, 10), Caller(flow_control, 10)]
        await run_pending()
        with pytest.raises(OverloadedError, match="20 bytes of messages are waiting already"):
            async with flow_control.reserve(1):
                pass
    for caller in callers:
        await caller.leave()


async def test_a_caller_that_waits_longer_than_max_wait_is_refused() -> None:
    flow_control = FlowControl(max_wait=0.01, limits=LIMITS)
    async with flow_control.reserve(10):
        with pytest.raises(OverloadedError, match=r"no room for 5 bytes within 0\.01 s"):
            async with flow_control.reserve(5):
                pass
    async with flow_control.reserve(10):
        pass


async def test_a_reservation_that_grows_keeps_others_waiting(flow_control: FlowControl) -> None:
    async with flow_control.reserve(1) as reservation:
        flow_control.resize(reservation, 9)
        other = Caller(flow_control, 1)
        await run_pending()
        assert not other.admitted
    await run_pending()
    assert other.admitted
    await other.leave()


async def test_each_waiting_caller_grows_before_the_next_is_admitted(flow_control: FlowControl) -> None:
    async def hold() -> None:
        nonlocal active, max_active
        async with flow_control.reserve(1) as reservation:
            flow_control.resize(reservation, 8)
            active += 1
            max_active = max(max_active, active)
            await run_pending()
            active -= 1

    active = max_active = 0
    async with flow_control.reserve(10):
        holders = [asyncio.create_task(hold()) for _ in range(5)]
        await run_pending()
    await asyncio.gather(*holders)

    assert max_active == 2


async def test_a_small_caller_is_admitted_after_a_large_one_is_cancelled(flow_control: FlowControl) -> None:
    async with flow_control.reserve(5):
        large, small = Caller(flow_control, 9), Caller(flow_control, 3)
        await run_pending()
        large.task.cancel()
        await run_pending()
        assert small.admitted
        await small.leave()


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["hold", "cancel", "leave"])), max_size=30))
def test_all_reservations_are_released_whichever_callers_are_cancelled(actions: list[tuple[int, str]]) -> None:
    async def run() -> None:
        flow_control = FlowControl(max_wait=60, limits=FlowLimits(active_bytes=10, waiting_bytes=1_000))
        callers: list[Caller] = []
        for size, action in actions:
            callers.append(Caller(flow_control, size))
            if action == "cancel":
                await run_pending()
                callers.pop(len(callers) // 2).task.cancel()
            elif action == "leave":
                await run_pending()
                admitted = [caller for caller in callers if caller.admitted]
                if admitted:
                    callers.remove(admitted[0])
                    admitted[0]._leave.set()
                    (callers or admitted)[-1].task.cancel()  # cancelled while it may be admitted
        while callers:
            await run_pending()
            caller = callers.pop(0)
            caller._leave.set()
            with suppress(asyncio.CancelledError):
                await caller.task
        await run_pending()
        assert (flow_control._active, flow_control._waiting_bytes, len(flow_control._waiters)) == (0, 0, 0)

    asyncio.run(run())
