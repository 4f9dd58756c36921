"""A console on the embedded emulators, with the sample events ingested and their days computed."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from threading import Thread

import uvicorn
from msgspec.structs import replace

from infra.batch.load import load_files
from infra.console.app import create_app
from infra.provision.bigtable import provision_bigtable
from infra.provision.resources import RESOURCES
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.sources.columns import columns
from shared.sources.files import SourceReader, find_sources
from tests.support.samples import MUSIC_CONTRACT, ROOT

SAMPLE_DAYS = [date(2024, 1, day) for day in (15, 16, 17)]


def sample_settings(emulators: Settings) -> Settings:
    """Create the tables of a project of its own and fill them with the sample events."""
    settings = replace(emulators, project_id=f"project-{uuid.uuid4().hex[:12]}", instance_id="samples")
    provision_bigtable(settings, RESOURCES.with_retention({"rejected": None}))
    with ThreadPoolExecutor(1) as thread:  # Playwright's event loop occupies the main thread
        thread.submit(lambda: asyncio.run(_fill(settings))).result()
    return settings


async def _fill(settings: Settings) -> None:
    contract = load_contract(MUSIC_CONTRACT)
    async with connected(settings) as bigtable:
        sources = SourceReader(find_sources(str(ROOT / "data")), format="auto", columns=columns(contract))
        await load_files(sources, bigtable, contract)
        for day in SAMPLE_DAYS:
            await AggregatePipeline(bigtable, contract).run(day)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Bigtable]:
    """Connect to the tables."""
    bigtable = Bigtable(settings)
    try:
        yield bigtable
    finally:
        await bigtable.close()


@contextmanager
def serving(settings: Settings, *, allow_changes: bool = False) -> Iterator[str]:
    """Serve a console in a thread; yield its address."""
    app = create_app(settings, allow_changes=allow_changes)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
    # Unlike a socket of `Config.bind_socket`, it listens already: a request may come before the server is ready.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            app.state.flow.stop()
            server.should_exit = True
            thread.join()
