"""Fill the table `events` quickly, through the code that the function stores by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from shared.bigtable.client import Bigtable
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline

_BATCH, _SIDE_BY_SIDE = 1_000, 8


def fill(settings: Settings, raws: Iterable[bytes]) -> None:
    """Store events of the music contract."""
    asyncio.run(_fill(settings, raws))


async def _fill(settings: Settings, raws: Iterable[bytes]) -> None:
    bigtable = Bigtable(settings)
    ingestion = IngestPipeline(bigtable, load_contract(DEFAULT_CONTRACT))
    now = datetime.now(UTC)
    left = iter(raws)

    async def store() -> None:
        while batch := list(islice(left, _BATCH)):
            await ingestion.store(ingestion.validate_all(batch, now), now, "bench")

    await asyncio.gather(*(store() for _ in range(_SIDE_BY_SIDE)))
    await bigtable.close()
