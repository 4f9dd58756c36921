"""The read API of an instance of `query`, created on its first request."""

from __future__ import annotations

from functools import cache

from msgspec.structs import replace

from shared import gc_tuning
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.query.api import QueryApi
from shared.runtime import logs
from shared.runtime.shutdown import SHUTDOWN

# Seconds until a read for a person fails; a message waits longer for its writes.
READ_DEADLINE = 10.0


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
