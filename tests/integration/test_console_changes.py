"""A console that may change something requests days, runs the job, and replays rejected events as the commands do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from infra.console.app import create_app
from infra.local.stack import Stack
from infra.provision.pubsub import provision_pubsub
from infra.provision.scheduler import provision_schedule
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from tests.integration.conftest import requests
from tests.support.console_forms import ORIGIN, send
from tests.support.console_server import connected
from tests.support.emulators import engine
from tests.support.html_page import Page, check_page
from tests.support.processes import DEFAULT_SIGNALS
from tests.support.samples import MUSIC_CONTRACT, ROOT, cells, dump, lines, message, music_event

SLUICE = Path(sys.executable).with_name("sluice")


def ingest(settings: Settings, contract: Path, *events: dict[str, Any]) -> None:
    """Store or reject events that were published now."""

    async def process() -> None:
        async with connected(settings) as bigtable:
            await IngestPipeline(bigtable, load_contract(contract)).process(message(lines(events), published=now()))

    asyncio.run(process())


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contract that rejects the song of every event."""
    path = tmp_path_factory.mktemp("contract") / "strict.toml"
    path.write_text(MUSIC_CONTRACT.read_text().replace('"[A-Za-z0-9_-]{1,64}"', '"[A-Z]+"'))
    return path


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(engine=engine(), console="changes allowed") as stack:
        stack.make_schedule()
        yield stack


class Browser:
    """Opens pages of a console and sends their forms."""

    def __init__(self, address: str) -> None:
        self._origin = address.rstrip("/")
        self._client = httpx2.Client(base_url=address, timeout=60, follow_redirects=True)

    def close(self) -> None:
        self._client.close()

    def open(self, path: str) -> Page:
        """Return a page; the time limit of the test ends a wait for the console."""
        while True:
            try:
                return self._page(self._client.get(path))
            except httpx2.ConnectError:
                continue

    def send(self, path: str, **fields: str) -> Page:
        """Send a form and return the page that it leads to."""
        return self._page(self._client.post(path, headers={"Origin": self._origin}, data=fields))

    def wait(self, path: str, is_reached: Callable[[Page], bool]) -> Page:
        """Return the page once it shows something; the time limit of the test ends the wait."""
        while not is_reached(page := self.open(path)):
            pass
        return page

    @staticmethod
    def _page(response: httpx2.Response) -> Page:
        assert response.status_code == 200, response.text
        return check_page(response.text)


@pytest.fixture(scope="module")
def browser(stack: Stack) -> Iterator[Browser]:
    with closing(Browser(stack.url("console"))) as browser:
        yield browser


def has_ended(page: Page) -> bool:
    return "Stop" not in page.texts("button")


def test_a_requested_day_is_computed_by_the_running_stack(stack: Stack, browser: Browser) -> None:
    ingest(stack.settings, MUSIC_CONTRACT, *(music_event(number) for number in range(7)))

    def row(page: Page) -> list[str]:
        [found] = [row for row in page.rows() if row[0] == "2024-01-15"]
        return found

    assert row(browser.open("/days?last=2024-01-16"))[4] == "late events, due again"
    page = browser.send("/days/request?last=2024-01-16", day="2024-01-15")
    assert "2024-01-15 was requested from the function aggregate." in page.texts("p")[1]

    page = browser.wait("/days?last=2024-01-16", lambda page: row(page)[5] != "-")

    assert row(page)[1] == "7"


def job_of(page: Page) -> list[str]:
    """Return the row of the daily job in the scheduler."""
    [row] = [row for row in page.rows() if row[0] == "aggregate-daily"]
    return row


def test_run_now_runs_the_job(stack: Stack, browser: Browser) -> None:
    before = now().replace(microsecond=0)
    yesterday = str(before.date() - timedelta(days=1))
    assert job_of(browser.open("/schedule"))[2] == "ENABLED"

    page = browser.send("/schedule/run")

    assert "it has published its request" in page.texts("p")[1]
    _, _, state, next_run, last_attempt, status = job_of(page)
    assert (state, status, next_run[-8:]) == ("ENABLED", "OK", "01:00:00")
    assert datetime.fromisoformat(f"{last_attempt}+00:00") >= before
    browser.wait("/schedule", lambda page: any(row[0] == yesterday and row[-1] == "finished" for row in page.rows()))


def test_a_replay_stores_and_deletes_what_the_command_does(stack: Stack, browser: Browser, strict: Path) -> None:
    events = [music_event(number, userId="someone") for number in range(100, 130)]
    ingest(stack.settings, strict, *events, music_event(130, userId=""))
    today = now().date()

    def counts(*options: str) -> dict[str, Any]:
        command = [str(SLUICE), "replay", "rejected", "--date", str(today), "--json", *options]
        env = {**os.environ, **stack.environment}
        return json.loads(
            subprocess.run(command, env=env, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
        )

    expected = counts("--dry-run")
    assert (expected["looked_at"], expected["passing"], expected["failing"]) == (31, 30, {"null": 1})
    browser.send(f"/rejected/dry-run?day={today}")
    page = browser.wait("/rejected/replay", has_ended)
    assert page.texts("li")[-3:] == [
        "31 rejected events looked at: 30 events pass the contract now",
        "1 events still break null",
        "nothing was changed",
    ]
    assert len(dump(stack.settings, "rejected")) == 31

    browser.send(f"/rejected/replay?day={today}")
    page = browser.wait("/rejected/replay", has_ended)

    assert page.texts("li")[-2:] == ["1 messages published", "30 events are stored and were deleted from rejected"]
    assert len(dump(stack.settings, "rejected")) == 1
    stored = cells(dump(stack.settings, "events"), "e")
    assert len([row_key for row_key, *_ in stored if row_key.endswith(b"#someone")]) == 30
    assert counts("--dry-run")["looked_at"] == 1


@pytest.fixture
def console(settings: Settings) -> Iterator[TestClient]:
    """A console on tables without topics and job."""
    app = create_app(settings, allow_changes=True)
    with TestClient(app, base_url=ORIGIN) as client:
        yield client


def test_missing_topics_and_jobs_are_named(console: TestClient, settings: Settings) -> None:
    page = check_page(console.get("/schedule").text)
    assert any("job aggregate-daily: found none, expected it to exist" in text for text in page.texts("p"))
    assert "aggregate-daily: found none, expected it to exist" in send(console, "/schedule/run").text

    response = send(console, "/days/request", day="2024-01-15")

    assert response.status_code == 503
    assert "topics/aggregate-requests: found none, expected it to exist" in response.text


def test_a_requested_day_is_one_message(console: TestClient, settings: Settings) -> None:
    provision_pubsub(settings)
    provision_schedule(settings)

    assert send(console, "/days/request", day="2024-01-15").status_code == 200
    assert send(console, "/schedule/run").status_code == 200

    assert requests(settings, 2) == [b'{"date": "2024-01-15"}', b"{}"]


def test_an_error_of_pubsub_is_shown_and_loses_nothing(console: TestClient, settings: Settings, strict: Path) -> None:
    ingest(settings, strict, music_event(1, userId="someone"))
    for path in (f"/rejected/dry-run?day={now().date()}", f"/rejected/replay?day={now().date()}"):
        send(console, path)
        while not has_ended(page := check_page(console.get("/rejected/replay").text)):
            pass

    assert "failed" in page.texts("p")[1]
    assert "topics/events: found none, expected it to exist" in page.texts("p")[2]
    assert len(dump(settings, "rejected")) == 1


def test_ctrl_c_ends_a_replay_that_waits(settings: Settings, strict: Path, topics: Any) -> None:
    """The project has no function, so the published event isn't stored."""
    ingest(settings, strict, music_event(1, userId="someone"))
    environment = {
        **os.environ,
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": str(settings.bigtable_emulator),
        "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator),
        "PYTHONUNBUFFERED": "1",
    }
    command = [*DEFAULT_SIGNALS, str(SLUICE), "console", "--port", "0", "--allow-changes"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        with closing(Browser(process.stdout.readline().strip())) as browser:
            browser.send(f"/rejected/dry-run?day={now().date()}")
            browser.wait("/rejected/replay", has_ended)
            browser.send(f"/rejected/replay?day={now().date()}")
            browser.wait("/rejected/replay", lambda page: "1 messages published" in page.texts("li"))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=15)

    assert (process.returncode, errors.strip()) == (130, "sluice: interrupted")
    assert len(dump(settings, "rejected")) == 1
