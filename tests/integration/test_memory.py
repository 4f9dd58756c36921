"""The largest messages at full concurrency fit into 256 MiB; messages beyond the capacity get an error response."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from shared.config import Settings
from shared.pubsub.message import MAX_EVENTS_PER_MESSAGE, MAX_PACKED_BYTES
from tests.faults.pipeline import Pipeline
from tests.support.hostile import MEMORY_HEAVY, content_of
from tests.support.samples import ROOT, cells, dump, music_event, push

pytestmark = pytest.mark.slow

# Concurrent posts: the concurrency that an instance is deployed with.
POSTS = 64


def full_of_events(number: int, size: int) -> bytes:
    """Return lines of valid events that fill `size` bytes, with different events for each number."""
    line = len(json.dumps(music_event(1_000_000))) + 1
    events = (music_event(number * 100_000 + each) for each in range(size // line))
    return "\n".join(json.dumps(event) for event in events).encode()


KINDS: dict[str, Callable[[int], bytes]] = {
    "plain": lambda number: full_of_events(number, MAX_PACKED_BYTES),
    "bad events": lambda number: b"\n".join(
        b"%d" % (number * MAX_EVENTS_PER_MESSAGE + each) for each in range(MAX_EVENTS_PER_MESSAGE // 4)
    ),
    "hungry": lambda number: content_of(MEMORY_HEAVY[number % len(MEMORY_HEAVY)].body()),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_largest_messages_at_full_concurrency_fit(kind: str, empty_instance: Settings) -> None:
    messages = [push(KINDS[kind](number), message_id=str(number)) for number in range(12)]
    with Pipeline(empty_instance, str(empty_instance.bigtable_emulator)) as pipeline, pipeline.sampling():
        connector = aiohttp.TCPConnector(limit=POSTS, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:

            async def post(number: int) -> int:
                headers, body = messages[number % len(messages)]
                async with http.post(pipeline.url("ingest"), headers=headers, data=BytesIO(body)) as response:
                    return response.status

            answers = Counter(await asyncio.gather(*map(post, range(POSTS))))
            assert await post(0) == 200  # the instance works after the load
        stored = len(list(cells(dump(empty_instance, "events"), "e")))
        rejected = len(dump(empty_instance, "rejected"))

    assert pipeline.peak < 256
    assert set(answers) <= {200, 429, 503}
    assert answers[200] > 0
    assert stored + rejected > 0


def test_the_memory_of_an_aggregation_hardly_grows_with_the_number_of_users() -> None:
    """The benchmark measures ten million events of a million users, which takes minutes."""

    def peak(events: int, users: int) -> float:
        command = [sys.executable, "-m", "tests.support.large_day", str(events), str(users)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        outcome = json.loads(ran.stdout)
        assert outcome["events"] == events
        assert outcome["rows"]["user"] == users
        return float(outcome["peak_mib"])

    # The sketch library takes 30 of these MiB. The measures of 100,000 users in memory would take more than 100.
    assert peak(300_000, 100_000) - peak(30_000, 10_000) < 80


def test_the_memory_of_an_export_does_not_grow_with_the_day(tmp_path: Path) -> None:
    def peak(events: int) -> float:
        arguments = [str(events), str(events // 100), str(tmp_path / str(events))]
        command = [sys.executable, "-m", "tests.support.large_export", *arguments]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        outcome = json.loads(ran.stdout)
        assert outcome["rows"] == events
        return float(outcome["peak_mib"])

    # 400,000 events in memory would take more than 100 MiB.
    small, large = peak(100_000), peak(500_000)
    assert large < 256
    assert large - small < 30
