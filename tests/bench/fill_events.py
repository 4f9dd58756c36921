"""Fill the table `events` with the ingest pipeline of the function."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from shared.bigtable.client import Bigtable
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline

_BATCH_EVENTS, _WORKERS = 1_000, 8


def fill_events(settings: Settings, raws: Iterable[bytes]) -> None:
    """Store events of the music contract."""
    asyncio.run(_fill(settings, raws))


async def _fill(settings: Settings, raws: Iterable[bytes]) -> None:
    bigtable = Bigtable(settings)
    pipeline = IngestPipeline(bigtable, load_contract(DEFAULT_CONTRACT))
    now = datetime.now(UTC)
    remaining = iter(raws)

    async def store() -> None:
        while batch := list(islice(remaining, _BATCH_EVENTS)):
            await pipeline.store(pipeline.validate_all(batch, now), now, "bench")

    await asyncio.gather(*(store() for _ in range(_WORKERS)))
    await bigtable.close()
