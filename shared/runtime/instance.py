"""The objects that a function instance creates on its first request: settings, contract, connection, pipeline."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cache, partial

import msgspec

from shared import gc_tuning
from shared.aggregate.pipeline import AggregatePipeline, Summary
from shared.bigtable.client import Bigtable
from shared.config import DataflowSettings, Settings
from shared.contracts.loader import load_contract
from shared.errors import SettingsError
from shared.ingest.pipeline import IngestPipeline
from shared.load.objects import StorageObjects
from shared.load.pipeline import LoadPipeline, Outcome
from shared.pubsub.load_requests import ObjectVersion
from shared.query.api import QueryApi
from shared.runtime import dataflow, logs, metrics
from shared.runtime.logs import LogEvent
from shared.runtime.shutdown import SHUTDOWN
from shared.tables.events import LargeRow
from shared.tables.loads import LoadState

# Seconds until a read for a person fails; a message waits longer for its writes.
READ_DEADLINE = 10.0


@cache
def ingest_pipeline() -> IngestPipeline:
    """Return the ingest pipeline of this instance."""
    settings = Settings.from_environment()
    record = metrics.recorder(settings.metrics_exporter)
    interval = settings.summary_interval
    counter = logs.PeriodicCounter(LogEvent.INGEST_SUMMARY, "events ingested", interval, record=record)
    contract = load_contract(settings.contract, settings.mask_key)
    pipeline = IngestPipeline(Bigtable(settings), contract, report=counter.add)
    logs.configure(settings.project_id, function="ingest", contract=contract.name)

    def close() -> None:
        counter.close()  # records the last counts
        if record:
            record.close()

    SHUTDOWN.install(close)
    gc_tuning.apply()
    return pipeline


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


@cache
def load_pipeline() -> LoadPipeline:
    """Return the load pipeline of this instance."""
    settings = Settings.from_environment()
    if settings.emulated("bigtable", "pubsub") != bool(settings.storage_emulator):
        raise SettingsError(
            f"STORAGE_EMULATOR_HOST: found {settings.storage_emulator!r}, expected an emulator of Cloud Storage where "
            "Bigtable and Pub/Sub are emulators, too, and none otherwise"
        )
    counter = logs.PeriodicCounter(LogEvent.INGEST_SUMMARY, "events ingested", settings.summary_interval)
    contract = load_contract(settings.contract, settings.mask_key)
    bigtable = Bigtable(settings)
    pipeline = LoadPipeline(
        bigtable,
        contract,
        StorageObjects(settings),
        partial(request_ranges, settings),
        ingestion=IngestPipeline(bigtable, contract, report=counter.add),
        deadline=settings.load_deadline,
        range_bytes=settings.load_range_bytes,
        report=_log_load,
    )
    logs.configure(settings.project_id, function="load", contract=contract.name)
    SHUTDOWN.install(counter.close)
    gc_tuning.apply()
    return pipeline


@cache
def query_api() -> QueryApi:
    """Return the read API of this instance."""
    settings = Settings.from_environment()
    settings = replace(settings, store_deadline=min(settings.store_deadline, READ_DEADLINE))
    contract = load_contract(settings.contract)
    logs.configure(settings.project_id, function="query", contract=contract.name)
    SHUTDOWN.install()
    gc_tuning.apply()
    return QueryApi(Bigtable(settings), contract, settings.lookback_days)


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


async def request_ranges(settings: Settings, object: ObjectVersion, starts: Sequence[int]) -> None:
    """Publish a request for each range of an object; return when Pub/Sub has all of them.

    Raises:
        StoreUnavailableError: Pub/Sub didn't respond in time; some ranges may have been requested.
        SettingsError: the topic is missing, or may not be published to.
    """
    from shared.load.fan_out import request_ranges  # imports for 1 s, which the load of a small object doesn't need

    await request_ranges(settings, object, starts)


def _log_load(object: ObjectVersion, outcome: Outcome, state: LoadState | None) -> None:
    fields = {"object": object.uri, "generation": object.generation, "outcome": outcome}
    if state is None:
        logs.info(LogEvent.OBJECT_LOADED, "object not loaded", **fields)
    elif state.error:
        logs.error(LogEvent.OBJECT_FAILED, f"object can't be loaded: {state.error}", **fields)
    else:
        total = state.progress()
        fields |= {"ranges": len(state.load.starts), "ranges_done": len(state.done), "stored": total.stored}
        fields |= {"rejected": total.rejected, "unreadable": total.unreadable}
        text = "object loaded" if state.finished else "object loaded in part"
        log = logs.warning if total.unreadable else logs.info
        log(LogEvent.OBJECT_LOADED, text, **fields)


def _log_large_row(day: date, large: LargeRow) -> None:
    message = "a row of events is large, and Bigtable can't read one of over 256 MB; docs/scale.md leads to hourly rows"
    logs.warning(LogEvent.LARGE_ROW, message, day=day, row=large.row, bytes=large.bytes)


def _log_run(summary: Summary) -> None:
    fields = msgspec.to_builtins(summary)
    if summary.too_many_rejected:
        logs.warning(LogEvent.DAY_AGGREGATED, "day aggregated; too many of its events are rejected", **fields)
    else:
        logs.info(LogEvent.DAY_AGGREGATED, "day aggregated", **fields)
