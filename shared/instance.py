"""What a function's instance makes once, on its first event: settings, contract, connection."""

from __future__ import annotations

from functools import cache

import msgspec

from shared import contract, logs
from shared.aggregation import Aggregation, Summary
from shared.bigtable import Bigtable
from shared.config import Settings
from shared.ending import ENDING
from shared.ingestion import Ingestion


@cache
def ingestion() -> Ingestion:
    """Return this instance's way in."""
    settings = Settings.from_environment()
    tally = logs.Tally("events taken in")
    made = Ingestion(Bigtable(settings), contract.load(settings.contract), report=tally.add)
    ENDING.listen()
    return made


@cache
def aggregation() -> Aggregation:
    """Return this instance's aggregation."""
    settings = Settings.from_environment()
    made = Aggregation(Bigtable(settings), contract.load(settings.contract), report=_log_run)
    ENDING.listen()
    return made


def _log_run(summary: Summary) -> None:
    if summary.too_many_rejected:
        logs.warning("too many of a day's events are rejected", **msgspec.to_builtins(summary))
    else:
        logs.info("a day is aggregated", **msgspec.to_builtins(summary))
