"""What a function's instance makes once, on its first event: settings, contract, connection; what it asks and tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache

import msgspec

from shared import gc_tuning
from shared.aggregate.pipeline import Aggregation, Summary
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import SettingsError
from shared.ingest.pipeline import Ingestion
from shared.runtime import logs, metrics
from shared.runtime.shutdown import SHUTDOWN


@cache
def ingestion() -> Ingestion:
    """Return this instance's way in."""
    settings = Settings.from_environment()
    tally = logs.PeriodicCounter("events taken in", record=metrics.recorder(settings.metrics_exporter))
    loaded = load_contract(settings.contract)
    made = Ingestion(Bigtable(settings), loaded, report=tally.add)
    logs.configure(settings.project_id, function="ingest", contract=loaded.name)
    SHUTDOWN.listen(tally.end)
    gc_tuning.apply()
    return made


@cache
def aggregation() -> Aggregation:
    """Return this instance's aggregation."""
    settings = Settings.from_environment()
    loaded = load_contract(settings.contract)
    made = Aggregation(Bigtable(settings), loaded, report=_log_run, deadline=settings.day_deadline)
    logs.configure(settings.project_id, function="aggregate", contract=loaded.name)
    SHUTDOWN.listen()
    gc_tuning.apply()
    return made


async def request_days(days: Sequence[date]) -> None:
    """Ask for days by a message for each; returns when Pub/Sub has them all.

    Raises:
        StoreUnavailableError: Pub/Sub didn't answer in time; some days may have been asked for.
        SettingsError: they can't be asked for.
    """
    settings = Settings.from_environment()
    if bool(settings.bigtable_emulator) != bool(settings.pubsub_emulator):
        raise SettingsError(
            "found one of BIGTABLE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST, expected both for emulators or none for "
            "Google Cloud"
        )
    from shared.aggregate.fan_out import request_days  # a second, which a day alone has no need of

    await request_days(settings, days)
    logs.info("days are requested, each by a message of its own", days=days)


def _log_run(summary: Summary) -> None:
    if summary.too_many_rejected:
        logs.warning("too many of a day's events are rejected", **msgspec.to_builtins(summary))
    else:
        logs.info("a day is aggregated", **msgspec.to_builtins(summary))
