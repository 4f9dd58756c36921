"""The steps of the aggregation of days: divide them, measure ranges, write merged measures, finish the runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows
from msgspec.structs import replace

from infra.beam.bigtable_dofn import BigtableDoFn
from infra.beam.event_loop import iterate, run
from infra.beam.value_accumulators import ValueAccumulators
from shared.aggregate.pipeline import AggregatePipeline, ClaimedRun
from shared.aggregate.quality import Quality
from shared.aggregate.rollup import DayRollup, ValueMeasures
from shared.aggregate.rollup_runner import BatchBuilder
from shared.aggregate.rollup_worker import Batch
from shared.config import Settings
from shared.contracts.model import Contract
from shared.tables.events import EventsTable
from shared.tables.run_writer import RunWriter
from shared.tables.user_events import group_by_user

# A day such as 2024-01-15, the start of a key range (inclusive), and its end (exclusive).
DayRange = tuple[str, bytes, bytes]
# Day, dimension and value.
ValueKey = tuple[str, str, str]

ROWS, QUALITY = "rows", "quality"
# Metrics that contain the summaries of runs: the counter "2024-01-15 events" counts the events of that day.
SUMMARY = "sluice.summary"
SUMMARY_COUNTS = ("events", "repeated", "rejected", "large_rows", "rows", "swept")
# Events measured before their accumulators are passed on, which bounds the memory of a day with many values.
_MAX_EVENTS_HELD = 500_000
# Bytes of rows in one write, each counted as its states and the approximate size of its measures.
_MAX_PENDING_BYTES, _ROW_BYTES = 4 * 1024 * 1024, 2_048


class Days(NamedTuple):
    """What every step knows: where, by which contract, and the run of each day."""

    settings: Settings
    contract: Contract
    runs: Mapping[str, ClaimedRun]


class _Step(BigtableDoFn):
    """A step of the aggregation."""

    def __init__(self, days: Days) -> None:
        super().__init__(days.settings)
        self._days = days

    @cached_property
    def _pipeline(self) -> AggregatePipeline:
        return AggregatePipeline(self.bigtable, self._days.contract)

    def _writer(self, day: str) -> RunWriter:
        return self._pipeline.writer(self._days.runs[day])


class DivideDay(_Step):
    """Divides days into key ranges with whole users."""

    def process(self, day: str) -> list[DayRange]:
        """Return the ranges of a day."""
        events = EventsTable(self.bigtable, self._days.contract.bucket)
        return [(day, *bounds) for bounds in run(events.ranges(self._days.runs[day].day))]


class _Measuring:
    """The measures of a day in one bundle.

    Attributes:
        quality: counts of the events read.
    """

    def __init__(self, contract: Contract, writer: RunWriter) -> None:
        self.quality = Quality()
        self.writer = writer
        self.rollup = DayRollup(contract.user, contract.aggregates)
        self._batches = BatchBuilder()
        self._taken = 0  # events whose accumulators have been passed on

    @property
    def events_held(self) -> int:
        """Number of events in the accumulators."""
        return self.quality.stored - self._taken

    async def add(self, users: Iterable[list[Any]]) -> None:
        """Measure the rows of users."""
        if batch := self._batches.add(self.quality.count_users(users)):
            await self._write(batch)

    async def complete(self) -> None:
        """Measure the events that are in no batch yet."""
        await self._write(self._batches.take())

    def take(self, day: str) -> Iterator[tuple[ValueKey, ValueAccumulators]]:
        """Yield and release the accumulators."""
        self._taken = self.quality.stored
        for dimension, value, accumulators in self.rollup.take():
            yield (day, dimension, value), ValueAccumulators(accumulators)

    async def _write(self, batch: Batch) -> None:
        await self.writer.write(self.rollup.measure(batch.events, batch.counts))


class MeasureRange(_Step):
    """Reads key ranges, writes the measures of their users, and yields the accumulators of all other values.

    Further outputs, by day: `ROWS`, the number of rows written, and `QUALITY`, the counts of stored events.
    """

    def start_bundle(self) -> None:
        """Forget the measures of the bundle before."""
        self._measuring: dict[str, _Measuring] = {}

    def process(self, day_range: DayRange) -> Iterator[tuple[ValueKey, ValueAccumulators]]:
        """Measure a range; yield accumulators whenever they hold many events."""
        day, start, end = day_range
        if day not in self._measuring:
            self._measuring[day] = _Measuring(self._days.contract, self._writer(day))
        for _ in iterate(self._measure(self._measuring[day], start, end)):
            yield from self._take()

    def finish_bundle(self) -> Iterator[Any]:
        """Yield the remaining accumulators and the counts of the bundle."""
        in_window = GlobalWindows.windowed_value
        for day, measuring in self._measuring.items():
            run(measuring.complete())
            yield beam.pvalue.TaggedOutput(ROWS, in_window((day, measuring.writer.rows)))
            yield beam.pvalue.TaggedOutput(QUALITY, in_window((day, measuring.quality)))
        yield from map(in_window, self._take())

    async def _measure(self, measuring: _Measuring, start: bytes, end: bytes) -> AsyncGenerator[None]:
        """Measure a range; yield whenever accumulators hold many events."""
        events = EventsTable(self.bigtable, self._days.contract.bucket)
        async for users in group_by_user(events.of_range(start, end)):
            await measuring.add(users)
            if sum(each.events_held for each in self._measuring.values()) >= _MAX_EVENTS_HELD:
                yield

    def _take(self) -> Iterator[tuple[ValueKey, ValueAccumulators]]:
        for day, measuring in self._measuring.items():
            yield from measuring.take(day)


class WriteMeasures(_Step):
    """Writes the measures of merged accumulators; yields the number of rows of each day."""

    def setup(self) -> None:
        """Prepare the names of the measures."""
        super().setup()
        contract = self._days.contract
        self._rollup = DayRollup(contract.user, contract.aggregates)

    def start_bundle(self) -> None:
        """Forget the rows of the bundle before."""
        self._writers: dict[str, RunWriter] = {}
        self._start_write()

    def _start_write(self) -> None:
        self._pending: dict[str, list[ValueMeasures]] = defaultdict(list)
        self._pending_bytes = 0

    def process(self, element: tuple[ValueKey, ValueAccumulators]) -> None:
        """Add a value's row."""
        (day, dimension, value), merged = element
        row = self._rollup.results(dimension, value, merged.accumulators())
        # As Python objects, states take several times their bytes.
        states = {name: msgspec.Raw(msgspec.json.encode(state)) for name, state in row.states.items()}
        self._pending[day].append(row._replace(states=states))
        self._pending_bytes += _ROW_BYTES + sum(map(len, states.values()))
        if self._pending_bytes >= _MAX_PENDING_BYTES:
            self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        """Write the remaining rows; yield the number of all rows of the bundle."""
        self._flush()
        for day, writer in self._writers.items():
            yield GlobalWindows.windowed_value((day, writer.rows))

    def _flush(self) -> None:
        for day, rows in self._pending.items():
            if day not in self._writers:
                self._writers[day] = self._writer(day)
            run(self._writers[day].write(rows))
        self._start_write()


class FinishRun(_Step):
    """Finishes runs. Their rows are all written when the side inputs are known."""

    def process(self, day: str, quality: Mapping[str, Quality], rows: Mapping[str, int]) -> None:
        """Write the quality of a day and its marker, and sweep; count the summary as metrics.

        Args:
            day: of the run.
            quality: counts of stored events, by day.
            rows: number of rows written, by day.
        """
        counted = replace(quality[day], max_rejected=self._days.contract.max_rejected)
        summary = run(self._pipeline.finish(self._days.runs[day], counted, rows[day], engine="beam"))
        for name in SUMMARY_COUNTS:
            Metrics.counter(SUMMARY, f"{day} {name}").inc(getattr(summary, name))


def total_quality(counts: Iterable[Quality]) -> Quality:
    """Return the sum of counts of stored events."""
    total = Quality()
    for each in counts:
        total.merge(each)
    return total
