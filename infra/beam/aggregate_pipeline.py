"""The Beam pipeline that aggregates days.

    days → ranges → measure ─ accumulators → merge by value → write ─┬→ finish
                       └──────── rows and quality by day ────────────┘

The rows of users are final where they are read. The last step waits for the counts of all others, so the markers of the
days are written last. Cells depend on the claimed runs alone: a bundle that Beam repeats writes the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import apache_beam as beam
from apache_beam.pvalue import AsDict

from infra.beam.steps import (
    QUALITY,
    ROWS,
    DayRange,
    Days,
    DivideDay,
    FinishRun,
    MeasureRange,
    ValueKey,
    WriteMeasures,
    total_quality,
)
from infra.beam.value_accumulators import MergeAccumulators, ValueAccumulators
from shared.contracts.model import Contract

# Workers that merge the accumulators of a whole day, which every bundle has, before one merges their results.
_FANOUT = 16


def build(pipeline: beam.Pipeline, days: Days) -> None:
    """Add the steps of runs to a pipeline."""
    measured = (
        pipeline
        | "Days" >> beam.Create(list(days.runs))
        | "Divide" >> beam.ParDo(DivideDay(days)).with_output_types(DayRange)
        | "Spread ranges" >> beam.Reshuffle()
        | "Measure" >> beam.ParDo(MeasureRange(days)).with_outputs(ROWS, QUALITY, main="values")
    )
    values = measured.values
    values.element_type = beam.typehints.KV[ValueKey, ValueAccumulators]
    written = (
        values
        | "Merge" >> beam.CombinePerKey(MergeAccumulators()).with_hot_key_fanout(_fanout(days.contract))
        | "Write" >> beam.ParDo(WriteMeasures(days)).with_output_types(beam.typehints.KV[str, int])
    )
    rows = (measured[ROWS], written) | beam.Flatten() | "Count rows" >> beam.CombinePerKey(sum)
    quality = measured[QUALITY] | "Count events" >> beam.CombinePerKey(total_quality)
    _ = (
        pipeline
        | "Runs" >> beam.Create(list(days.runs))
        | "Finish" >> beam.ParDo(FinishRun(days), AsDict(quality), AsDict(rows))
    )


def _fanout(contract: Contract) -> Callable[[ValueKey], int]:
    """Return the function that gives the number of workers that merge a value's accumulators at first."""
    return partial(_fanout_of, frozenset(each.dimension for each in contract.aggregates if each.by is None))


def _fanout_of(whole_days: frozenset[str], key: ValueKey) -> int:
    return _FANOUT if key[1] in whole_days else 1
