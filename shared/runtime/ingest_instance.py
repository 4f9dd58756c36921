"""The pipeline of an instance of `ingest`, created on its first request."""

from __future__ import annotations

from functools import cache

from shared import gc_tuning
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.runtime import logs, metrics
from shared.runtime.logs import LogEvent
from shared.runtime.shutdown import SHUTDOWN


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
