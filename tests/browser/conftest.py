"""Debian's Chromium, driven by Playwright, on a console with the sample events."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from infra.local.stack_file import StackFile
from shared.config import Settings
from tests.support.console_server import sample_settings, serving


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


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page with an empty profile in each theme; fail on an error, or on a request to another host."""
    context = browser.new_context(base_url=address, color_scheme=request.param)
    page = context.new_page()
    page.set_default_timeout(10_000)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(address) else problems.append(sent.url))
    yield page
    context.close()
    assert problems == []
