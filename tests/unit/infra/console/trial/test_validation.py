"""The validation in a thread is limited in time and memory."""

from __future__ import annotations

import asyncio
import gzip
import io
import threading
import time
import tracemalloc

import pytest
from pytest_mock import MockerFixture

from infra.console.trial import validation
from shared.contracts.loader import load_contract
from tests.support.samples import MUSIC_CONTRACT


def test_the_time_limit_applies_after_each_batch(mocker: MockerFixture) -> None:
    """A small compressed file can have many events."""
    clock = validation.Clock()
    mocker.patch.object(clock, "check", side_effect=[None, validation.TimeIsUpError])

    outcomes = validation.validate_file("f.json", io.BytesIO(b"1\n" * 3_000), load_contract(MUSIC_CONTRACT), clock)

    assert (outcomes.counts, outcomes.is_complete) == ({"rejected": 1_000}, False)


def test_a_large_file_takes_little_memory() -> None:
    """Lines of 8 MiB each: a batch of a thousand of them would take 8 GiB, or all 20 of them 160 MiB."""
    lines = gzip.compress((b'{"a":"' + b"x" * 2**23 + b'"}\n') * 20, 1)
    contract = load_contract(MUSIC_CONTRACT)
    tracemalloc.start()
    try:
        outcomes = validation.validate_file("f.json.gz", io.BytesIO(lines), contract, validation.Clock())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert outcomes.counts == {"rejected": 20}
    assert peak < 60 * 2**20


async def test_a_cancelled_request_ends_the_validation() -> None:
    ended, started = threading.Event(), threading.Event()

    def run(clock: validation.Clock) -> None:
        started.set()
        try:
            while True:
                clock.check()
                time.sleep(0.001)
        finally:
            ended.set()

    task = asyncio.create_task(validation.in_thread(run))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(ended.wait, 10)
