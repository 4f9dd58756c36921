"""The pipeline of an instance of `load`, created on its first request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

from shared import gc_tuning
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import SettingsError
from shared.ingest.pipeline import IngestPipeline
from shared.load.objects import StorageObjects
from shared.load.pipeline import LoadPipeline, Outcome
from shared.pubsub.load_requests import ObjectVersion
from shared.runtime import logs
from shared.runtime.logs import LogEvent
from shared.runtime.shutdown import SHUTDOWN
from shared.tables.loads import LoadState


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
