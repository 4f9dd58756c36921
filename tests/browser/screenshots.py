"""Write the screenshots of the documentation: pages of the console with the sample events, in Debian's Chromium.

Only the page Flow and the day of the page Rejected, which is today, differ from run to run.

python -m tests.browser.screenshots
"""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import click
from playwright.sync_api import Browser, Page, expect, sync_playwright

from infra.batch.publish import publish_files
from infra.local.ports import answers
from infra.local.stack import Stack
from shared.aggregate.pipeline import AggregatePipeline
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.pubsub.publisher import Publisher
from shared.sources.columns import columns
from shared.sources.files import SourceReader, find_sources
from tests.support.console_server import SAMPLE_DAYS, connected
from tests.support.processes import eventually
from tests.support.samples import MUSIC_CONTRACT, ROOT

_WIDTH, _HEIGHT = 960, 600
_MAX_TOTAL_BYTES = 400_000
_RATE, _MESSAGE_EVENTS = 100, 10  # events a second and in a message, for the page Flow

# Name, address and theme of each image. A new page is one more line.
_IMAGES: list[tuple[str, str, Literal["light", "dark"]]] = [
    ("days-light", "days", "light"),
    ("days-dark", "days", "dark"),
    ("explore-light", "explore?by=song+by+plays&day=2024-01-16&value=song_000", "light"),
    ("explore-dark", "explore?by=song+by+plays&day=2024-01-16&value=song_000", "dark"),
    ("user-light", "user?user=user_0003&until=2024-01-20", "light"),
    ("rejected-dark", "rejected", "dark"),
]
_LIVE: tuple[str, str, Literal["light", "dark"]] = ("flow-light", "flow", "light")
_LIVE_HEIGHT = 1000  # with latency and backlog


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=ROOT / "docs" / "images", help="[docs/images]")
def main(folder: Path) -> None:
    """Publish the sample events to a local stack, compute their days, and write an image of each page."""
    with Stack(console="read-only") as stack, sync_playwright() as playwright:
        if not eventually(lambda: answers(stack.ports["console"])):
            raise click.ClickException("found a console that doesn't answer within 20 s, expected it")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        name, path, theme = _LIVE
        page = _open(browser, stack.url("console"), path, theme, _LIVE_HEIGHT)
        with ThreadPoolExecutor(1) as thread:  # Playwright's event loop occupies the main thread
            published = thread.submit(lambda: asyncio.run(_publish(stack.settings)))
            stored = page.get_by_role("row", name="Events stored").get_by_role("cell").last
            expect(stored).to_have_text("1,201", timeout=60_000)
            _write(page, folder / f"{name}.png")
            published.result()
            thread.submit(lambda: asyncio.run(_aggregate(stack.settings))).result()
        for name, path, theme in _IMAGES:
            _write(_open(browser, stack.url("console"), path, theme), folder / f"{name}.png")
        browser.close()
    total = sum(each.stat().st_size for each in folder.glob("*.png"))
    click.echo(f"{folder}: {total:,} bytes")
    if total > _MAX_TOTAL_BYTES:
        raise click.ClickException(f"found {total:,} bytes of images, expected at most {_MAX_TOTAL_BYTES:,}")


async def _publish(settings: Settings) -> None:
    sources = find_sources(str(ROOT / "data"))
    reader = SourceReader(sources, format="auto", columns=columns(load_contract(MUSIC_CONTRACT)))
    async with Publisher(settings) as publisher:
        await publish_files(reader, publisher, "events", batch_size=_MESSAGE_EVENTS, rate=_RATE)


async def _aggregate(settings: Settings) -> None:
    async with connected(settings) as bigtable:
        pipeline = AggregatePipeline(bigtable, load_contract(MUSIC_CONTRACT))
        for day in SAMPLE_DAYS:
            await pipeline.run(day)


def _open(browser: Browser, console: str, path: str, theme: Literal["light", "dark"], height: int = _HEIGHT) -> Page:
    page = browser.new_page(viewport={"width": _WIDTH, "height": height}, color_scheme=theme)
    page.goto(console + path)
    return page


def _write(page: Page, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    main()
