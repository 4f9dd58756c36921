"""The function `load` as a process: killed half-way, and with an object of 10 GB."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.batch.load import load_files
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.pubsub.load_requests import ObjectVersion
from shared.sources.files import SourceReader
from shared.tables.loads import LoadsTable, LoadState
from tests.support.large_object import OBJECTS, LargeObject, serve
from tests.support.load_function import LoadFunction
from tests.support.samples import MUSIC_CONTRACT, dump

pytestmark = pytest.mark.slow


@contextmanager
def serving(kind: str, size: int) -> Iterator[str]:
    server = serve(kind, size)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def wait_for(settings: Settings, object: ObjectVersion, reached: Callable[[LoadState], bool]) -> LoadState:
    """Return the state of a load once it fulfils a condition."""

    async def wait() -> LoadState:
        bigtable = Bigtable(settings)
        try:
            while not (state := await LoadsTable(bigtable).find(object)) or not reached(state):
                assert not (state and state.error)
                await asyncio.sleep(0.05)
            return state
        finally:
            await bigtable.close()

    return asyncio.run(asyncio.wait_for(wait(), 120))


def ingested(settings: Settings, path: Path) -> Any:
    """Return the events after one undisturbed `ingest` of a file."""

    async def ingest() -> None:
        bigtable = Bigtable(settings)
        await load_files(SourceReader([path]), bigtable, load_contract(MUSIC_CONTRACT))
        await bigtable.close()

    asyncio.run(ingest())
    return dump(settings, "events")


def test_a_killed_function_leaves_no_gap(settings: Settings, other_settings: Settings, tmp_path: Path) -> None:
    size, object = 2_000_000, OBJECTS["jsonl"]
    (tmp_path / "events.jsonl").write_bytes(LargeObject("jsonl", size).read(0, size))
    with (
        serving("jsonl", size) as storage,
        LoadFunction(settings, storage, SLUICE_LOAD_RANGE_BYTES="500000") as function,
    ):
        function.announce(object)
        wait_for(settings, object, lambda state: bool(state.done))
        function.kill()
        function.start()
        state = wait_for(settings, object, lambda state: state.finished)

    assert len(state.load.starts) == 4
    assert state.progress().stored == LargeObject("jsonl", size).events
    assert dump(settings, "events") == ingested(other_settings, tmp_path / "events.jsonl")


@pytest.mark.parametrize("kind", ["csv", "jsonl.gz"])
def test_ten_gigabytes_stay_within_256_mib(settings: Settings, kind: str) -> None:
    """The first seconds of the load, after which the memory doesn't grow: docs/load.md has a longer measurement."""
    with (
        serving(kind, 10_000_000_000) as storage,
        LoadFunction(settings, storage, SLUICE_LOAD_DEADLINE="4") as function,
    ):
        function.announce(OBJECTS[kind])
        peak, end = 0.0, time.monotonic() + 10
        while time.monotonic() < end:
            peak = max(peak, function.memory_mib())
            time.sleep(0.05)  # the interval of the samples
        state = wait_for(settings, OBJECTS[kind], lambda state: state.progress().stored > 10_000)

    assert 50 < peak < 256
    assert len(state.load.starts) == (1 if kind.endswith(".gz") else 150)
