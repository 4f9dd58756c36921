"""The console shows the sample events as the tables have them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.console.app import create_app
from infra.console.server import serve
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import StackError
from shared.ingest.pipeline import IngestPipeline
from tests.support.console_server import connected, sample_settings
from tests.support.html_page import Page, check_page
from tests.support.processes import DEFAULT_SIGNALS
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, message, music_event


@pytest.fixture(scope="module")
def console(emulators: Settings) -> Iterator[TestClient]:
    app = create_app(sample_settings(emulators))
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def show(console: TestClient, address: str) -> Page:
    response = console.get(address)
    assert response.status_code == 200, response.text
    return check_page(response.text)


def test_days_shows_the_sample_days(console: TestClient) -> None:
    rows = show(console, "/").rows()

    assert [row[:3] for row in rows][:4] == [
        ["2024-01-17", "303", "0"],
        ["2024-01-16", "381", "0"],
        ["2024-01-15", "501", "0"],
        ["2024-01-14", "-", "-"],
    ]
    # The events were stored minutes ago, so the next scheduled run computes their days again.
    assert [row[4] for row in rows[:3]] == ["late events, due again"] * 3


def test_user_shows_a_timeline_page_by_page_as_the_table_has_it(console: TestClient) -> None:
    """A page ends between events of the same microsecond, too."""
    settings = console.app.state.tables.settings  # type: ignore[attr-defined]  # the type is ASGIApp
    events = [music_event(number, userId="busy", timestamp="2024-01-15T10:00:00Z") for number in range(120)]
    events += [
        music_event(number, userId="busy", timestamp="2024-01-15T23:59:59.999999Z") for number in range(120, 140)
    ]
    asyncio.run(_store(settings, events))

    shown: list[str] = []
    address = "/user?user=busy&until=2024-01-20"
    while address:
        page = show(console, address)
        shown += [element.text for element in page.all("code")]
        address = next((each.attributes["href"] for each in page.all("a") if each.text == "Older events"), "")

    stored = sorted(
        (qualifier.decode(), value.decode())
        for row_key, qualifier, _, value in cells(dump(settings, "events"), "e")
        if row_key.endswith(b"#busy")
    )
    assert len(stored) == 140
    assert list(zip(shown[2::4], shown[::4], strict=True)) == stored


async def _store(settings: Settings, events: list[dict[str, Any]]) -> None:
    async with connected(settings) as bigtable:
        await IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT)).process(message(lines(events)))


def test_rejected_shows_the_sample_events_by_rule_and_field(console: TestClient) -> None:
    rows = show(console, "/rejected").rows()

    assert sum(int(row[2]) for row in rows if row[0] == "null") == 4
    assert [row[:3] for row in show(console, "/rejected?rule=type").rows()] == [
        ["type", "event_id", "1"],
        ["type", "timestamp", "1"],
    ]


def test_explore_leads_from_the_top_values_to_one_value_over_days(console: TestClient) -> None:
    page = show(console, "/explore?by=song+by+plays&day=2024-01-15")
    assert page.rows()[0] == ["song_000", "45", "22", "204.62", "-", "-"]

    [link] = [each.attributes["href"] for each in page.all("a") if each.text == "song_000"]
    rows = show(console, link).rows()

    assert rows[0] == ["plays", "45", "-", "-"]
    assert rows[3][:2] == ["2024-01-15", "45"]
    assert [row[1] for row in rows[4:33]] == ["-"] * 29
    assert show(console, link.replace("01-15", "01-17")).rows()[5][:2] == ["2024-01-15", "45"]


def test_explore_compares_a_day_with_the_day_before(console: TestClient) -> None:
    plays = {day: show(console, f"/explore?by=song+by+plays&day=2024-01-{day}").rows() for day in (15, 16)}
    counts = {day: {row[0]: int(row[1]) for row in rows} for day, rows in plays.items()}
    compared = {row[0]: row[4:] for row in plays[16] if row[0] in counts[15]}

    assert len(compared) > 5
    for song, (day_before, week_before) in compared.items():
        change = counts[16][song] - counts[15][song]
        assert day_before.split(" (")[0] == f"{change:+}".replace("+0", "0")
        assert week_before == "-"


def test_the_command_serves_until_ctrl_c_also_with_an_open_stream(settings: Settings) -> None:
    environment = {
        **os.environ,
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": str(settings.bigtable_emulator),
        "PYTHONUNBUFFERED": "1",
    }
    command = [*DEFAULT_SIGNALS, str(Path(sys.executable).with_name("sluice")), "console", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}flow/events", timeout=10) as stream:
            assert stream.readline().startswith(b"data: ")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors.strip()) == (130, "sluice: interrupted")


def test_a_taken_port_is_an_error(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"console: port {port} can't be used"):
            serve(settings, port, print)
