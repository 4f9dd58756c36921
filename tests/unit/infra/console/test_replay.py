"""The page Replay: a dry run, then the replay of the same events, one at a time in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_mock import MockerFixture
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from infra.batch.replay import Replay
from infra.console.app import create_app
from infra.console.changes import replays as replays_module
from infra.console.changes.replays import ReplayRun, Replays
from shared.config import Settings
from shared.errors import StoreUnavailableError
from shared.validation.results import Finding
from tests.support.console_forms import ORIGIN, send
from tests.support.console_tables import DAY, HOSTILE
from tests.support.html_page import Page, check_page


def dry_run() -> ReplayRun:
    return ReplayRun(DAY, "range", dry_run=True)


def replay() -> ReplayRun:
    return ReplayRun(DAY, "range", dry_run=False)


class Work:
    """Stands in for the work of a replay, which ends when it may.

    Attributes:
        started: the runs that began.
        may_end: lets all runs end.
        error: raised by each run.
    """

    def __init__(self) -> None:
        self.started: list[ReplayRun] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.error: Exception | None = None

    async def execute(self, run: ReplayRun) -> None:
        self.started.append(run)
        run.replay = Replay(looked_at=5, passing=3)
        run.replay.failing.update({"type": 2})
        await self.may_end.wait()
        if self.error:
            raise self.error


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def replays(work: Work) -> Replays:
    return Replays(work.execute)


@pytest.fixture
async def end(replays: Replays) -> Callable[[], Awaitable[None]]:
    """Return a function that waits until the running one has ended."""

    async def wait() -> None:
        assert replays._task is not None
        await asyncio.wait([replays._task])

    return wait


async def test_a_replay_follows_a_dry_run(replays: Replays, work: Work, end: Callable[[], Awaitable[None]]) -> None:
    replays.start(dry_run())
    await end()
    replays.start(replay())
    await end()

    assert [run.dry_run for run in work.started] == [True, False]
    assert replays.latest is work.started[-1]
    assert (replays.latest.is_running, replays.latest.error) == (False, "")


@pytest.mark.parametrize("other", [ReplayRun(DAY, "type", dry_run=True), ReplayRun(DAY - timedelta(1), "range", True)])
async def test_a_replay_without_a_dry_run_of_the_same_events_is_refused(
    replays: Replays, work: Work, end: Callable[[], Awaitable[None]], other: ReplayRun
) -> None:
    with pytest.raises(HTTPException, match="Replay of 2024-01-15, range: found no dry run of it"):
        replays.start(replay())
    replays.start(other)
    await end()
    with pytest.raises(HTTPException, match="found no dry run of it"):
        replays.start(replay())

    assert work.started == [other]


async def test_a_replay_after_a_failed_dry_run_is_refused(
    replays: Replays, work: Work, end: Callable[[], Awaitable[None]]
) -> None:
    work.error = StoreUnavailableError("no answer")
    replays.start(dry_run())
    await end()

    with pytest.raises(HTTPException, match="found no dry run of it"):
        replays.start(replay())


async def test_two_replays_at_once_are_refused(replays: Replays, work: Work) -> None:
    work.may_end.clear()
    replays.start(ReplayRun(DAY, "", dry_run=True))

    expected = r"Dry run of 2024-01-15, range: found another one running \(Dry run of 2024-01-15, all rules\)"
    with pytest.raises(HTTPException, match=expected) as raised:
        replays.start(dry_run())

    assert raised.value.status_code == 409
    await replays.stop()


async def test_a_form_that_is_sent_twice_starts_one_replay(
    replays: Replays, work: Work, end: Callable[[], Awaitable[None]]
) -> None:
    replays.start(dry_run())
    await end()
    work.may_end.clear()
    replays.start(replay())
    replays.start(replay())
    work.may_end.set()
    await end()
    replays.start(replay())

    assert [run.dry_run for run in work.started] == [True, False]


async def test_a_stop_ends_the_work_and_allows_another(replays: Replays, work: Work) -> None:
    work.may_end.clear()
    replays.start(dry_run())
    await asyncio.sleep(0)
    await replays.stop()

    assert replays.latest is not None
    assert (replays.latest.is_running, replays.latest.error) == (False, "stopped before its end")
    replays.start(dry_run())
    await replays.stop()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (StoreUnavailableError("topic t: no answer"), "topic t: no answer"),
        (ValueError("a"), "unexpected error: ValueError('a')"),
        (TimeoutError("b"), "unexpected error: TimeoutError('b')"),
    ],
)
async def test_an_error_ends_the_run_and_is_shown(
    replays: Replays, work: Work, end: Callable[[], Awaitable[None]], error: Exception, text: str
) -> None:
    work.error = error
    replays.start(dry_run())
    await end()

    assert replays.latest is not None
    assert (replays.latest.is_running, replays.latest.error) == (False, text)


async def test_a_run_ends_after_its_time(
    replays: Replays, work: Work, end: Callable[[], Awaitable[None]], mocker: MockerFixture
) -> None:
    mocker.patch.object(replays_module, "_DEADLINE", 0.01)
    work.may_end.clear()
    replays.start(dry_run())
    await end()

    assert replays.latest is not None
    assert replays.latest.error == "stopped after 0.01 s, before its end"


@pytest.fixture
def replay_rejected(mocker: MockerFixture) -> Any:
    """Replaces the work by one that finds three passing events of five."""

    async def run(*_arguments: object, replay: Replay, dry_run: bool, **_options: object) -> None:
        replay.looked_at, replay.passing = 5, 3
        replay.failing["type"] = 2
        if not dry_run:
            replay.published, replay.stored, replay.waiting = 1, 2, 1

    return mocker.patch("infra.batch.replay.replay_rejected", side_effect=run)


def outcome(client: TestClient) -> Page:
    """Return the page after the end of the work; the time limit of the test ends a wait."""
    while True:
        html = client.get("/rejected/replay").text
        assert [each for each in html if not each.isprintable() and each != "\n"] == []
        page = check_page(html)
        if "Stop" not in page.texts("button"):
            return page


def form(page: Page) -> str:
    [address] = [each.attributes["action"] for each in page.all("form") if each.attributes["method"] == "post"]
    return address


def test_a_dry_run_leads_to_the_replay(changing: TestClient, replay_rejected: Any) -> None:
    changing.app.state.tables.rejected.add(b"1", Finding("range", "duration", "-1", "0 or more"))  # type: ignore[attr-defined]  # the type is ASGIApp
    response = send(changing, form(check_page(changing.get("/rejected?day=2024-01-15&rule=range").text)))
    assert (response.status_code, response.headers["location"]) == (303, "/rejected/replay")
    page = outcome(changing)

    assert page.texts("p")[1] == "Dry run of 2024-01-15, range: finished"
    counts = ["5 rejected events looked at: 3 events pass the contract now", "2 events still break type"]
    assert page.texts("li")[-3:] == [*counts, "nothing was changed"]
    assert page.texts("button") == ["Replay these events"]

    send(changing, form(page))
    page = outcome(changing)

    assert page.texts("p")[1] == "Replay of 2024-01-15, range: finished"
    assert page.texts("li")[-5:] == [
        *counts,
        "1 messages published",
        "2 events are stored and were deleted from rejected",
        "1 events are not stored yet; repeat the replay to delete them later",
    ]
    assert page.all("form") == []
    selections = [
        (each.kwargs["day"], each.kwargs["rule"], each.kwargs["dry_run"]) for each in replay_rejected.mock_calls
    ]
    assert selections == [(DAY, "range", True), (DAY, "range", False)]


def test_a_running_replay_has_a_button_to_stop_it_and_reloads_itself(
    changing: TestClient, mocker: MockerFixture
) -> None:
    async def wait(*_arguments: object, **_options: object) -> None:
        await asyncio.Event().wait()

    mocker.patch("infra.batch.replay.replay_rejected", side_effect=wait)
    send(changing, "/rejected/dry-run?day=2024-01-15")
    page = check_page(changing.get("/rejected/replay").text)

    assert page.texts("p")[1] == "Dry run of 2024-01-15, all rules: running"
    assert {"http-equiv": "refresh", "content": "2"} in [each.attributes for each in page.all("meta")]
    assert send(changing, "/rejected/dry-run?day=2024-01-16").status_code == 409
    send(changing, form(page))
    page = outcome(changing)
    assert page.texts("p")[1:3] == ["Dry run of 2024-01-15, all rules: failed", "stopped before its end"]
    assert page.texts("button") == []


def test_the_end_of_the_console_ends_a_replay_before_the_connection(mocker: MockerFixture) -> None:
    async def wait(*_arguments: object, **_options: object) -> None:
        await asyncio.Event().wait()

    mocker.patch("infra.batch.replay.replay_rejected", side_effect=wait)
    app = create_app(Settings("p", "i", bigtable_emulator="127.0.0.1:1", pubsub_emulator="127.0.0.1:1"))
    replays, at_close = app.state.replays, list[bool]()
    close = app.state.tables.close

    async def record() -> None:
        at_close.append(replays.latest.is_running)
        await close()

    app.state.tables.close = record
    with TestClient(app, base_url=ORIGIN) as client:
        send(client, "/rejected/dry-run?day=2024-01-15")
        assert replays.latest.is_running

    assert at_close == [False]
    assert replays.latest.error == "stopped before its end"


def test_before_the_first_one_the_page_says_so(client: TestClient, tables: Any) -> None:
    page = check_page(client.get("/rejected/replay").text)

    assert "No dry run and no replay since the start of the console." in page.texts("p")[1]


def test_a_read_only_console_allows_the_dry_run_and_refuses_the_replay(
    client: TestClient, tables: Any, replay_rejected: Any, mocker: MockerFixture
) -> None:
    mocker.patch("google.auth.default")
    mocker.patch("shared.pubsub.publisher.Publisher")
    send(client, "/rejected/dry-run?day=2024-01-15&rule=range")
    page = outcome(client)
    assert page.all("form") == []
    assert any("--allow-changes, to replay these events" in text for text in page.texts("p"))

    assert send(client, "/rejected/replay?day=2024-01-15&rule=range").status_code == 403
    assert replay_rejected.call_count == 1


@pytest.mark.parametrize("path", ["/rejected/dry-run", "/rejected/replay", "/rejected/replay/stop"])
def test_another_site_starts_and_stops_nothing(changing: TestClient, replay_rejected: Any, path: str) -> None:
    assert send(changing, path, origin="http://example.com").status_code == 403
    assert changing.app.state.replays.latest is None  # type: ignore[attr-defined]  # the type is ASGIApp


@pytest.mark.parametrize("text", ["nothing", *HOSTILE])
@pytest.mark.parametrize("name", ["day", "rule"])
def test_an_invalid_day_or_rule_starts_nothing(changing: TestClient, name: str, text: str) -> None:
    for path in ("/rejected/dry-run", "/rejected/replay"):
        response = changing.post(path, params={name: text}, headers={"origin": ORIGIN})

        assert response.status_code == 400
        assert check_page(response.text).all("script") == []
    assert changing.app.state.replays.latest is None  # type: ignore[attr-defined]  # the type is ASGIApp


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_error_is_text(changing: TestClient, mocker: MockerFixture, text: str) -> None:
    mocker.patch("infra.batch.replay.replay_rejected", side_effect=StoreUnavailableError(text))
    send(changing, "/rejected/dry-run?day=2024-01-15")

    page = outcome(changing)

    assert len(page.all("script")) == 0
    if text.isprintable():
        assert page.texts("p")[2] == text
