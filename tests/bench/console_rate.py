"""Measure the console with many events: the response and the first contentful paint of each page.

The first contentful paint of a page that reads nothing is the share of the browser.

python -m tests.bench.console_rate --events 1000000

The events are of five days, one of a hundred is rejected, and each of 5,000 users has about 200 of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlencode

import click
from playwright.sync_api import Browser, sync_playwright

from infra.local.ports import answers
from infra.local.stack import Stack
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from tests.bench import events
from tests.bench.fill_events import fill_events
from tests.bench.report.machine import this_machine
from tests.bench.results import MeasurementError
from tests.support.processes import eventually

_DAYS = [events.DAY + timedelta(days=number) for number in range(5)]
_USERS = 5_000
_ONE_REJECTED_OF = 100
_PAINTS, _REQUESTS = 7, 100
_MAX_PAINT, _MAX_USER_PAGE = 300.0, 50.0  # ms
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@click.command()
@click.option(
    "--events",
    "count",
    type=click.IntRange(500_000),  # with fewer, users have no full page
    default=1_000_000,
    show_default=True,
    help="Number of events in the tables.",
)
def main(count: int) -> None:
    """Fill the tables of a local stack, compute the days, and measure the pages of its console."""
    begun = time.monotonic()
    with Stack(functions=("ingest",), console="read-only") as stack:
        fill_events(stack.settings, _events(count))
        asyncio.run(_aggregate(stack.settings))
        if not eventually(lambda: answers(stack.ports["console"])):
            raise MeasurementError("found a console that doesn't answer within 20 s, expected it")
        click.echo(f"{this_machine()}, load {os.getloadavg()[0]:.1f}")
        click.echo(f"{count:,} events stored and their days computed in {time.monotonic() - begun:,.0f} s")
        port = stack.ports["console"]
        dice = random.Random(1)
        users = [_user(f"user_{dice.randrange(_USERS):07d}") for _ in range(_REQUESTS)]
        _show("user, response", _responses(port, users), _MAX_USER_PAGE)
        for name, path in _paths().items():
            _show(f"{name}, response", _responses(port, [path] * _PAINTS), _MAX_PAINT)
            _show(f"{name}, first contentful paint", _paints(stack.url("console") + path), _MAX_PAINT)


def _events(count: int) -> Iterator[bytes]:
    for number, day in enumerate(_DAYS):
        lines = events.lines(count // len(_DAYS), users=_USERS, day=day, seed=number)
        for position, line in enumerate(lines):
            yield line if position % _ONE_REJECTED_OF else line.replace(b'"userId"', b'"user"')


async def _aggregate(settings: Settings) -> None:
    bigtable = Bigtable(settings)
    pipeline = AggregatePipeline(bigtable, load_contract(settings.contract))
    for day in _DAYS:
        await pipeline.run(day)
    await bigtable.close()


def _user(user: str) -> str:
    return f"user?{urlencode({'user': user, 'until': _DAYS[-1]})}"


def _paths() -> dict[str, str]:
    day = {"day": _DAYS[-1]}
    return {
        "no read": "user",
        "days": "days",
        "user": _user("user_0000001"),
        "rejected": "rejected",
        "explore": "explore?" + urlencode({"by": "user by total_events", **day}),
        "explore a value": "explore?" + urlencode({"by": "song by plays", "value": "song_00000", **day}),
        "flow": "flow",
    }


def _responses(port: int, paths: list[str]) -> list[float]:
    """Return the milliseconds of each request, one after the other, over one connection that is warm."""
    connection = HTTPConnection("127.0.0.1", port)
    found = []
    for path in [paths[0], *paths]:
        started = time.perf_counter()
        connection.request("GET", f"/{path}")
        response = connection.getresponse()
        body = response.read()
        found.append((time.perf_counter() - started) * 1_000)
        if response.status != 200 or ("user=" in path and body.count(b"<tr>") != 51):
            raise MeasurementError(f"{path}: found {response.status} {body[:200]!r}, expected a page with all its rows")
    connection.close()
    return found[1:]


def _paints(address: str) -> list[float]:
    """Return the milliseconds until the first contentful paint of each load, with an empty cache."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        _paint(browser, address)  # starts the processes of the browser
        found = [_paint(browser, address) for _ in range(_PAINTS)]
        browser.close()
    return found


def _paint(browser: Browser, address: str) -> float:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    while (found := page.evaluate(_PAINT)) is None:
        page.wait_for_timeout(10)
    context.close()
    return float(found)


def _show(name: str, milliseconds: list[float], limit: float) -> None:
    median, p95 = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=20, method="inclusive")[-1]
    met = "" if p95 <= limit else f", above {limit:.0f} ms"
    click.echo(f"{name}: median {median:.0f} ms, 95 % within {p95:.0f} ms of {len(milliseconds)}{met}")


if __name__ == "__main__":
    main()
