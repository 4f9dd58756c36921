"""The page Flow shows the rates of a running stack in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture
from starlette.testclient import TestClient

from infra.console.flow import history as flow_history
from infra.console.flow.history import FlowFeed, FlowHistory
from infra.console.flow.messages import LastMessage
from infra.console.pages.flow import events, find_stack
from infra.console.rendering import PAGES
from infra.local.stack_file import StackFile
from infra.local.stats import StackCountsReader
from shared.config import Settings
from shared.validation.results import Finding
from tests.support.console_tables import HOSTILE
from tests.support.html_page import Page, check_page


class Log:
    """The log of `ingest` and the counts of its deliveries."""

    def __init__(self, folder: Path) -> None:
        self.path, self.stats = folder / "ingest.log", folder / "stats.json"
        self.messages: list[LastMessage] | None = None

    def add(self, **entry: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"event": "ingest_summary", "severity": "INFO", **entry}) + "\n")

    async def read_messages(self) -> list[LastMessage] | None:
        return self.messages

    def reader(self) -> StackCountsReader:
        return StackCountsReader({"ingest": self.path}, self.stats, "a-project")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.fixture
def show(client: TestClient, log: Log) -> Callable[[], Page]:
    """Return a function that reads the page."""
    feed = FlowFeed(log.reader, log.read_messages)
    client.app.state.flow = feed  # type: ignore[attr-defined]  # the type is ASGIApp

    def read() -> Page:
        feed._sampled = float("-inf")
        html = client.get("/flow").text
        assert [each for each in html if not each.isprintable() and each != "\n"] == []
        return check_page(html)

    return read


def test_without_a_stack_the_page_names_the_command(client: TestClient) -> None:
    assert check_page(client.get("/flow").text).texts("code") == ["sluice up"]


def test_the_page_has_counts_and_reloads_itself_without_scripts(show: Callable[[], Page], log: Log) -> None:
    log.add(stored=1_500, rejected=20, duplicate=5, messages=3)
    log.stats.write_text('{"a": {"delivered": 3, "failed": 1}}')

    page = show()

    assert page.rows() == [
        ["Events stored", "0.0", "1,500"],
        ["Duplicates among them", "0.0", "5"],
        ["Events rejected", "0.0", "20"],
        ["Messages delivered", "0.0", "3"],
        ["Deliveries failed", "0.0", "1"],
        ["Latency of half of the messages, from publication to storage", "-"],
        ["Latency of 95 % of the messages", "-"],
        ["Backlog: messages not acknowledged", "unknown"],
        ["Dead letters", "unknown"],
    ]
    assert "Unknown: only the embedded emulators keep the last messages." in page.texts("p")
    assert {"http-equiv": "refresh", "content": "5"} in [each.attributes for each in page.all("meta")]
    assert [each.attributes["src"] for each in page.all("script")] == ["/static/flow.js"]


def test_the_page_has_latency_backlog_and_dead_letters(show: Callable[[], Page], log: Log) -> None:
    name = "projects/a-project/subscriptions/events"
    counts = {f"{name}-ingest": {"unacknowledged": 1_234}, f"{name}-dead-letter-keep": {"unacknowledged": 5}}
    log.stats.write_text(json.dumps(counts))
    show()
    counts[f"{name}-ingest"] |= {"within_20_ms": 90, "within_1000_ms": 10}
    log.stats.write_text(json.dumps(counts))

    rows = show().rows()

    assert [row[1] for row in rows[5:]] == ["20 ms", "1,000 ms", "1,234", "5"]


def test_latencies_are_those_of_five_seconds(log: Log) -> None:
    history = FlowHistory(log.reader())
    for second in range(10):
        counts = {"within_1_ms": 100 * min(second, 2), "within_50_ms": second}
        log.stats.write_text(json.dumps({"projects/a-project/subscriptions/events-ingest": counts}))
        history.sample(float(second))

    assert history.latencies == {"within_50_ms": 5}


def test_the_page_has_the_last_messages(show: Callable[[], Page], log: Log) -> None:
    published = datetime(2024, 1, 15, 10, 0, 0, 500_000, tzinfo=UTC)
    findings = [Finding("type", "page", "12", "string"), Finding("length", "query", "600 characters", "512", "warn")]
    log.messages = [
        LastMessage("2", published, "98 accepted, 2 rejected", findings, 1_000, '{"event_id":"a"}'),
        LastMessage("1", published, "1 accepted", [], 0, '{"event_id":"b"}'),
    ]

    rows = show().rows()

    assert rows[-2:] == [
        [
            "10:00:00.500000",
            "2",
            "98 accepted, 2 rejected",
            "type: page: found 12, expected string"
            "length (warning): query: found 600 characters, expected 512"
            "and 1,000 more",
            '{"event_id":"a"}',
        ],
        ["10:00:00.500000", "1", "1 accepted", "-", '{"event_id":"b"}'],
    ]
    log.messages = []
    assert "No message since the start." in show().texts("p")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_message_is_text(show: Callable[[], Page], log: Log, text: str) -> None:
    finding = Finding("unknown_field", text, text, text)
    log.messages = [LastMessage("1", datetime.now(UTC), "1 rejected", [finding], 0, text)]

    page = show()

    assert len(page.all("script")) == 1
    if text.isprintable():
        assert page.rows()[-1][-1] == text


def test_a_rate_is_the_mean_of_five_seconds(log: Log) -> None:
    history = FlowHistory(log.reader())
    history.sample(100.0)
    for second in range(1, 8):
        log.add(stored=1_000, rejected=second, messages=1)
        history.sample(100.0 + second)

    assert [rate.stored for rate in history.rates] == [1_000.0] * 7
    assert [rate.rejected for rate in history.rates][-1] == (3 + 4 + 5 + 6 + 7) / 5
    assert history.total.stored == 7_000


def test_a_gap_begins_the_history_again(log: Log) -> None:
    history = FlowHistory(log.reader())
    history.sample(100.0)
    log.add(stored=3_600_000, messages=1)
    history.sample(3_700.0)

    assert history.rates == []
    assert history.total.stored == 3_600_000


def test_the_history_is_bounded(log: Log) -> None:
    history = FlowHistory(log.reader())
    for second in range(1_000):
        log.add(event="message_failed", severity="WARNING", message=f"problem {second}")
        history.sample(float(second))

    assert len(history.rates) == 120
    assert len(history.problems) == 20
    assert (history.problems[0], history.problems[-1]) == ("ingest: problem 999", "ingest: problem 980")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_problem_is_text(show: Callable[[], Page], log: Log, text: str) -> None:
    log.add(event="message_failed", severity="ERROR", message=text)

    page = show()

    assert len(page.all("script")) == 1
    assert len(page.texts("li")) == len(PAGES) + 1
    if text.isprintable():
        assert page.texts("li")[-1] == f"ingest: {text}"


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_live_event_is_the_escaped_part_of_the_page(log: Log, text: str) -> None:
    log.add(event="message_failed", severity="ERROR", message=text + "\n\ndata: forged\r\nid: 1")

    async with aclosing(events(FlowFeed(log.reader, log.read_messages))) as stream:
        event = await anext(stream)

    assert event.endswith("\n\n")
    assert {line[:6] for line in event.removesuffix("\n\n").split("\n")} == {"data: "}
    assert "\r" not in event
    part = Page("\n".join(line.removeprefix("data: ") for line in event.split("\n")))
    assert part.all("script") == []
    assert len(part.all("li")) == 1


async def test_live_events_end_with_the_server(log: Log) -> None:
    feed = FlowFeed(log.reader, log.read_messages)
    stream = events(feed)
    await anext(stream)
    feed.stop()

    assert [event async for event in stream] == []


async def test_open_pages_share_one_sample_a_second(log: Log, mocker: MockerFixture) -> None:
    clock = mocker.patch.object(flow_history.time, "monotonic", return_value=50.0)
    feed = FlowFeed(log.reader, log.read_messages)
    for _ in range(10):
        history = await feed.read()
    assert history is not None
    assert history.rates == []
    clock.return_value = 51.0
    await feed.read()

    assert len(history.rates) == 1


def test_the_stack_of_another_project_is_not_shown(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("infra.local.stack_file.tempfile.gettempdir", return_value=str(tmp_path))
    (tmp_path / "sluice-x").mkdir()
    environment = {"BIGTABLE_EMULATOR_HOST": "h:1", "GCP_PROJECT_ID": "mine"}
    StackFile(environment, {}, tmp_path / "stats").write(tmp_path / "sluice-x")

    assert find_stack(Settings("mine", "i", bigtable_emulator="h:1")) is not None
    assert find_stack(Settings("other", "i", bigtable_emulator="h:1")) is None
    assert find_stack(Settings("mine", "i", bigtable_emulator="h:2")) is None
    assert find_stack(Settings("mine", "i")) is None
