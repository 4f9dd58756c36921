"""A model of late events: after the last of them, a later scheduled run counts every one.

Instances freeze at any moment, their clocks differ, they are killed between a write and its mark, messages are
redelivered, and runs of a day overlap.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from shared.tables import state
from shared.tables.state import MAX_CLOCK_SKEW_SECONDS, StateTable
from tests.support.state_rows import StateRows

START = datetime(2024, 1, 20, 3, tzinfo=UTC).timestamp()
DAYS = [date(2024, 1, 15), date(2024, 1, 16)]
# A freeze may last for seconds or for a night.
FREEZES = st.sampled_from([0, 0, 0, 1, 59, 61, 400, 700, 3_600, 8 * 3_600])
PAUSES = st.sampled_from([0, 1, 30, 600])
PASSED = st.sampled_from([1, 30, 61, 600, 1_000, 3 * 3_600, 24 * 3_600])


@dataclass
class Instance:
    """A function instance with a clock of its own."""

    skew: float
    table: StateTable


@dataclass
class DayRun:
    """A run of a day: it has read the events that were stored by then."""

    day: date
    started: datetime
    counted: set[int] = field(default_factory=set)


class LateEvents(RuleBasedStateMachine):
    """Real time is `now`; events are numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.loop = asyncio.new_event_loop()
        self.rows = StateRows()
        self.instances: list[Instance] = []
        self.stored: dict[int, date] = {}
        self.unacknowledged: dict[int, date] = {}
        self.running: list[DayRun] = []
        self.counted: dict[date, tuple[datetime, set[int]]] = {}

    @initialize(
        skews=st.lists(st.floats(-MAX_CLOCK_SKEW_SECONDS / 2, MAX_CLOCK_SKEW_SECONDS / 2), min_size=3, max_size=3)
    )
    def start(self, skews: list[float]) -> None:
        self.instances = [Instance(skew, StateTable(self.rows)) for skew in skews]  # type: ignore[arg-type] - a fake

    def teardown(self) -> None:
        for number, day in list(self.unacknowledged.items()):
            self.process(number, day, self.instances[0], 0, 0)
        while self.running:
            self.finish_run(0)
        self.now += 24 * 3_600
        self.schedule(1)
        for number, day in self.stored.items():
            assert number in self.counted[day][1], f"event {number} of {day} is in no run"
        self.loop.close()

    @rule(passed=PASSED)
    def wait(self, passed: int) -> None:
        self.now += passed

    @rule(
        day=st.sampled_from(DAYS), at=st.integers(0, 2), before_mark=FREEZES, before_write=FREEZES, killed=st.booleans()
    )
    def receive(self, day: date, at: int, before_mark: int, before_write: int, killed: bool) -> None:
        number = len(self.stored)
        self.stored[number] = day
        if killed:
            self.unacknowledged[number] = day  # stored, not marked: Pub/Sub redelivers it
            return
        self.process(number, day, self.instances[at], before_mark, before_write)

    @rule(at=st.integers(0, 2), before_mark=FREEZES, before_write=FREEZES)
    def redeliver(self, at: int, before_mark: int, before_write: int) -> None:
        for number, day in list(self.unacknowledged.items())[:1]:
            self.process(number, day, self.instances[at], before_mark, before_write)

    @rule(day=st.sampled_from(DAYS), at=st.integers(0, 2), frozen=FREEZES, thawed=PAUSES)
    def freeze_while_marking(self, day: date, at: int, frozen: int, thawed: int) -> None:
        """A run starts while a mark's write is frozen; an event arrives after it and shares the mark."""
        instance, number = self.instances[at], len(self.stored)
        joined: list[asyncio.Task[None]] = []

        async def freeze() -> None:
            if not joined:
                self.now += frozen
                self.start_run(day, at)
                self.now += thawed
                self.stored[number + 1] = day
                joined.append(asyncio.ensure_future(instance.table.mark_late([day])))
                await asyncio.sleep(0)

        async def receive() -> None:
            await instance.table.mark_late([day])
            await asyncio.gather(*joined)

        self.stored[number] = day
        self.rows.before_write = freeze
        self.call(instance.skew, receive())
        self.rows.before_write = None

    def process(self, number: int, day: date, instance: Instance, before_mark: int, before_write: int) -> None:
        self.stored[number] = day
        self.now += before_mark
        freezes = [before_write]

        async def freeze() -> None:
            self.now += freezes.pop() if freezes else 0

        self.rows.before_write = freeze
        self.call(instance.skew, instance.table.mark_late([day]))
        self.rows.before_write = None
        self.unacknowledged.pop(number, None)

    @rule(day=st.sampled_from(DAYS), at=st.integers(0, 2))
    def start_run(self, day: date, at: int) -> None:
        started = datetime.fromtimestamp(self.now + self.instances[at].skew, UTC)
        self.running.append(DayRun(day, started, {number for number, of in self.stored.items() if of == day}))

    @rule(at=st.integers(0, 2))
    def finish_run(self, at: int) -> None:
        if self.running:
            run = self.running.pop(0)
            if run.day not in self.counted or self.counted[run.day][0] <= run.started:
                self.counted[run.day] = (run.started, run.counted)
            self.call(self.instances[at].skew, self.instances[at].table.clear_late(run.day, run.started))

    @rule(at=st.integers(0, 2))
    def schedule(self, at: int) -> None:
        """The nightly run computes every marked day."""
        for day in self.call(self.instances[at].skew, self.instances[at].table.late_days()):
            self.start_run(day, at)
            self.running.insert(0, self.running.pop())
            self.finish_run(at)

    def call(self, skew: float, work: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(state, "time", SimpleNamespace(time=lambda: self.now + skew, monotonic=lambda: self.now))
            return self.loop.run_until_complete(work)


def test_a_later_run_counts_every_late_event() -> None:
    run_state_machine_as_test(LateEvents, settings=settings(max_examples=100, stateful_step_count=20, deadline=None))


def test_a_clock_may_be_slow_by_less_than_the_skew(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = datetime(2024, 1, 16, tzinfo=UTC)
    clock = SimpleNamespace(time=lambda: (midnight - timedelta(seconds=MAX_CLOCK_SKEW_SECONDS - 1)).timestamp())
    monkeypatch.setattr(state, "time", clock)

    assert state._today() == midnight.timestamp() // 86_400
