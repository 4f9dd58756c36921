"""Compute days on Beam: `python -m infra.beam.aggregate --days=2024-01-15,2024-01-16 --runner=...`.

All other flags are Beam's. Settings come from environment variables. The summary of each day is a line of JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import date

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from infra.beam.aggregate_pipeline import build
from infra.beam.driver import drive, print_result
from infra.beam.event_loop import run
from infra.beam.steps import SUMMARY, SUMMARY_COUNTS, Days
from shared.aggregate.pipeline import AggregatePipeline, ClaimedRun, Summary
from shared.aggregate.quality import Quality
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract


def main(arguments: list[str]) -> None:
    """Compute the days in one job, and print a summary of each."""
    parser = argparse.ArgumentParser(prog="python -m infra.beam.aggregate", allow_abbrev=False)
    parser.add_argument("--days", type=_days, required=True, metavar="YYYY-MM-DD,...")
    own, flags = parser.parse_known_args(arguments)
    for summary in compute(Settings.from_environment(), own.days, flags):
        print_result(summary)


def compute(settings: Settings, days: list[date], flags: list[str]) -> Iterator[Summary]:
    """Compute days in one job with these flags of Beam, and yield a summary of each."""
    contract = load_contract(settings.contract)
    runs, result = start(settings, contract, days, flags)
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(SUMMARY))["counters"]
    counts = {each.key.metric.name: each.committed for each in found}
    for day in days:
        of_day = {name: counts[f"{day} {name}"] for name in SUMMARY_COUNTS}
        quality = Quality(contract.max_rejected, stored=of_day["events"], rejected=of_day["rejected"])
        yield Summary(
            day=day,
            complete=runs[day].is_complete,
            horizon=runs[day].horizon,
            share_rejected=quality.share_rejected,
            too_many_rejected=quality.too_many_rejected,
            **of_day,
        )


def start(
    settings: Settings, contract: Contract, days: list[date], flags: list[str]
) -> tuple[dict[date, ClaimedRun], PipelineResult]:
    """Start a job that computes days, with these flags of Beam; return the run of each day, and the job."""
    runs = run(_begin(settings, contract, days))
    pipeline = beam.Pipeline(options=PipelineOptions(flags))
    build(pipeline, Days(settings, contract, {str(day): claimed for day, claimed in runs.items()}))
    return runs, pipeline.run()


async def _begin(settings: Settings, contract: Contract, days: list[date]) -> dict[date, ClaimedRun]:
    async with Bigtable(settings) as bigtable:
        pipeline = AggregatePipeline(bigtable, contract)
        return {day: await pipeline.begin(day) for day in days}


def _days(text: str) -> list[date]:
    return [date.fromisoformat(each) for each in text.split(",")]


if __name__ == "__main__":
    drive(main)
