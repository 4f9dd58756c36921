"""No message holds the event loop for long: others are served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import Message, receive
from tests.support.hostile import CASES, MEMORY_HEAVY, Case
from tests.support.samples import MUSIC_CONTRACT

# Seconds of CPU.
LONGEST_HOLD = 0.1

LONG_CASES = [case for case in CASES + MEMORY_HEAVY if len(str(case.body())) > 20_000]


class PipelineWithoutTables(IngestPipeline):
    """Validates, and stores nothing."""

    async def _process_small(self, message: Message) -> dict[str, int]:
        return {}

    async def _store(self, verdicts: Any, published: datetime, source: str) -> dict[str, int]:
        await asyncio.sleep(0)
        return {}


async def longest_hold(pipeline: IngestPipeline, message: Message) -> float:
    """Return the most CPU time that the event loop's thread spends between two turns."""
    longest, last = 0.0, time.thread_time()
    processing = asyncio.create_task(pipeline.process(message))
    while not processing.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    await processing
    return longest


@pytest.mark.no_cover  # the tracer would be measured, too
@pytest.mark.parametrize("case", LONG_CASES, ids=lambda case: case.name)
async def test_no_message_holds_the_event_loop(case: Case) -> None:
    counts: list[Mapping[str, int]] = []
    settings = Settings("project", "instance")
    pipeline = PipelineWithoutTables(Bigtable(settings), load_contract(MUSIC_CONTRACT), report=counts.append)
    message = receive(case.body())

    # The shortest of three: on a busy machine the same work takes more CPU time, never less.
    holds = [await longest_hold(pipeline, message) for _ in range(3)]

    assert min(holds) < LONGEST_HOLD
    assert sum(each.get("messages", 0) for each in counts) == 3
