"""Debian's Chromium, driven by Playwright, on a console with the sample events."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect, sync_playwright

from infra.local.stack_file import StackFile
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from tests.support.axe import THEMES
from tests.support.console_server import connected, sample_settings, serving
from tests.support.provisioning import provision
from tests.support.samples import MUSIC_CONTRACT, lines, message, music_event

# Milliseconds until an expected state counts as missing; a busy machine takes seconds to render.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium; without it the test is skipped, or fails where CI is set."""
    program = shutil.which("chromium")
    if program is None:
        text = "found no chromium, expected it: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def samples(emulators: Settings) -> Settings:
    """The settings of a pipeline with the sample events."""
    settings = sample_settings(emulators)
    # The emulators belong to a stack with a file of its own, which has the address with 127.0.0.1.
    return replace(settings, bigtable_emulator=str(settings.bigtable_emulator).replace("127.0.0.1", "localhost"))


@pytest.fixture(scope="module")
def ingest_log(samples: Settings) -> Iterator[Path]:
    """The log of the function `ingest` of a stack that the console finds by its file."""
    with TemporaryDirectory(prefix="sluice-") as name:
        folder, log = Path(name), Path(name) / "ingest.log"
        log.touch()
        environment = {"BIGTABLE_EMULATOR_HOST": str(samples.bigtable_emulator), "GCP_PROJECT_ID": samples.project_id}
        StackFile(environment, {"ingest": log}, folder / "deliveries.json").write(folder)
        yield log


@pytest.fixture(scope="module")
def address(samples: Settings, ingest_log: Path) -> Iterator[str]:
    """Serve a console of the sample events; yield its address."""
    with serving(samples) as address:
        yield address


@pytest.fixture(scope="module")
def changing_address(emulators: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a console that may change something, of a project without functions and with one rejected event."""
    settings = replace(emulators, project_id=f"project-{uuid.uuid4().hex[:12]}", instance_id="changes")
    strict = tmp_path_factory.mktemp("contract") / "strict.toml"
    strict.write_text(MUSIC_CONTRACT.read_text().replace('"[A-Za-z0-9_-]{1,64}"', '"[A-Z]+"'))

    async def reject() -> None:
        async with connected(settings) as bigtable:
            received = message(lines([music_event(1, userId="someone")]), published=datetime.now(UTC))
            await IngestPipeline(bigtable, load_contract(strict)).process(received)

    provision(settings)
    with ThreadPoolExecutor(1) as thread:  # Playwright's event loop occupies the main thread
        thread.submit(lambda: asyncio.run(reject())).result()
    with serving(settings, allow_changes=True) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Open a page."""
    with _opened(browser, address) as page:
        yield page


@pytest.fixture(params=THEMES)
def themed_page(page: Page, request: pytest.FixtureRequest) -> Page:
    """Open a page in each theme."""
    page.emulate_media(color_scheme=request.param)
    return page


@pytest.fixture(params=THEMES)
def changing_page(browser: Browser, changing_address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page of the console that may change something, in each theme."""
    with _opened(browser, changing_address) as page:
        page.emulate_media(color_scheme=request.param)
        yield page


@contextmanager
def _opened(browser: Browser, address: str) -> Iterator[Page]:
    """Open a page with an empty profile; fail on an error, or on a request to another host."""
    context = browser.new_context(base_url=address)
    page = context.new_page()
    page.set_default_timeout(10_000)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(address) else problems.append(sent.url))
    yield page
    context.close()
    assert problems == []
