"""The pipeline of an instance of `aggregate`, created on its first request, and what starts its days."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from functools import cache

import msgspec

from shared import gc_tuning
from shared.aggregate.pipeline import AggregatePipeline, Summary
from shared.bigtable.client import Bigtable
from shared.config import DataflowSettings, Settings
from shared.contracts.loader import load_contract
from shared.runtime import dataflow, logs
from shared.runtime.logs import LogEvent
from shared.runtime.shutdown import SHUTDOWN
from shared.tables.events import LargeRow


@cache
def aggregate_pipeline() -> AggregatePipeline:
    """Return the aggregate pipeline of this instance."""
    settings = Settings.from_environment()
    contract = load_contract(settings.contract)
    pipeline = AggregatePipeline(
        Bigtable(settings),
        contract,
        report=_log_run,
        report_large_row=_log_large_row,
        deadline=settings.day_deadline,
        cpu=settings.cpu,
    )
    logs.configure(settings.project_id, function="aggregate", contract=contract.name)
    SHUTDOWN.install()
    gc_tuning.apply()
    return pipeline


async def run_day(pipeline: AggregatePipeline, day: date) -> None:
    """Compute a day, or launch the Dataflow job that does where so many events are expected.

    Raises:
        StoreUnavailableError: Bigtable or Dataflow didn't respond in time, or the run exceeded the deadline.
        StoreRefusedError, SettingsError: Bigtable or Dataflow refused a call permanently.
    """
    if chosen := DataflowSettings.from_environment(os.environ):
        expected = await pipeline.expected_events(day)
        if expected >= chosen.from_events:
            job_id = await dataflow.launch(Settings.from_environment(), chosen, day)
            logs.info(LogEvent.JOB_LAUNCHED, "Dataflow job launched", day=day, job_id=job_id, expected_events=expected)
            return
    await pipeline.run(day)


async def request_days(days: Sequence[date]) -> None:
    """Publish a request for each day; return when Pub/Sub has all of them.

    Raises:
        StoreUnavailableError: Pub/Sub didn't respond in time; some days may have been requested.
        SettingsError: the topic is missing, may not be published to, or only one service is an emulator.
    """
    settings = Settings.from_environment()
    settings.emulated("bigtable", "pubsub")
    from shared.aggregate.fan_out import request_days  # imports for 1 s, which a request for one day doesn't need

    await request_days(settings, days)
    logs.info(LogEvent.DAYS_REQUESTED, "days requested, each by a message of its own", days=days)


def _log_large_row(day: date, large: LargeRow) -> None:
    message = "a row of events is large, and Bigtable can't read one of over 256 MB; docs/scale.md leads to hourly rows"
    logs.warning(LogEvent.LARGE_ROW, message, day=day, row=large.row, bytes=large.bytes)


def _log_run(summary: Summary) -> None:
    fields = msgspec.to_builtins(summary)
    if summary.too_many_rejected:
        logs.warning(LogEvent.DAY_AGGREGATED, "day aggregated; too many of its events are rejected", **fields)
    else:
        logs.info(LogEvent.DAY_AGGREGATED, "day aggregated", **fields)
