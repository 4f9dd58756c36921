"""The page Schedule shows the job as declared and as the scheduler has it, its next runs, and the runs of days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Event
from typing import Any

import pytest
from pytest_mock import MockerFixture
from starlette.testclient import TestClient

from infra.console.pages import schedule
from infra.provision.resources import RESOURCES
from infra.provision.scheduler_client import ScheduledJob
from shared.errors import SettingsError
from tests.support.console_forms import send
from tests.support.console_tables import DAY, HOSTILE, run_of
from tests.support.html_page import Page, check_page

(DECLARED,) = RESOURCES.named("sluice").jobs
ENABLED = ScheduledJob(
    job=DECLARED,
    state="ENABLED",
    next_run=datetime(2024, 1, 16, 1, tzinfo=UTC),
    last_attempt=datetime(2024, 1, 15, 1, 0, 2, tzinfo=UTC),
    status="OK",
)


@pytest.fixture
def find_job(mocker: MockerFixture) -> Any:
    """Replaces the scheduler, which has the job as declared."""
    return mocker.patch("infra.provision.scheduler_client.find_job", return_value=ENABLED)


@pytest.fixture
def run_job(mocker: MockerFixture) -> Any:
    return mocker.patch("infra.provision.scheduler_client.run_job", return_value=True)


def show(client: TestClient) -> Page:
    response = client.get("/schedule")
    assert response.status_code == 200, response.text
    assert [each for each in response.text if not each.isprintable() and each != "\n"] == []
    return check_page(response.text)


def test_the_job_is_shown_as_declared_and_as_the_scheduler_has_it(
    client: TestClient, tables: Any, find_job: Any
) -> None:
    found = replace(ENABLED, job=replace(DECLARED, schedule="30 2 * * *", retries=0))
    find_job.side_effect = lambda _settings, name: found if name == "aggregate-daily" else None

    page = show(client)

    differs = "differs; sluice provision applies the declaration"
    retries = "after 5 to 3600 s, doubled 5 times"
    assert page.rows() == [
        ["Schedule", "0 1 * * *", f"30 2 * * * {differs}"],
        ["Time zone", "Etc/UTC", "Etc/UTC"],
        ["Topic", "aggregate-requests", "aggregate-requests"],
        ["Data", "{}", "{}"],
        ["Retries", f"5, {retries}", f"0, {retries} {differs}"],
        ["aggregate-daily", "30 2 * * *", "ENABLED", "2024-01-16 01:00:00", "2024-01-15 01:00:02", "OK"],
    ]
    assert [text[-8:] for text in page.texts("time")] == ["02:30:00"] * 5


def test_the_intraday_job_is_shown_if_the_scheduler_has_it(client: TestClient, tables: Any, find_job: Any) -> None:
    intraday = replace(DECLARED, name="aggregate-intraday", schedule="*/15 * * * *")
    jobs = {"aggregate-daily": ENABLED, "aggregate-intraday": replace(ENABLED, job=intraday, state="PAUSED")}
    find_job.side_effect = lambda _settings, name: jobs[name]

    rows = show(client).rows()

    assert ["aggregate-intraday", "*/15 * * * *", "PAUSED", *rows[5][3:]] == rows[6]
    assert rows[5][0] == "aggregate-daily"


def test_the_next_runs_are_the_next_nights(client: TestClient, tables: Any, find_job: Any) -> None:
    before = datetime.now(UTC)
    times = [datetime.fromisoformat(f"{text}+00:00") for text in show(client).texts("time")]

    assert before < times[0] <= datetime.now(UTC) + timedelta(days=1)
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(days=1)] * 4


@pytest.mark.parametrize("change", [{"state": "PAUSED"}, {"job": replace(DECLARED, schedule="every 5 minutes")}])
def test_a_job_that_is_paused_or_has_a_schedule_in_words_has_no_next_runs(
    client: TestClient, tables: Any, find_job: Any, change: dict[str, Any]
) -> None:
    find_job.return_value = replace(ENABLED, **change)

    page = show(client)

    assert page.texts("time") == []
    assert "None are known: the job isn't enabled, or its schedule isn't a cron expression." in page.texts("p")


def test_the_runs_of_days_are_shown_the_latest_first(client: TestClient, tables: Any, find_job: Any) -> None:
    tables.state.all_runs = {DAY: run_of(DAY, events=1_234), DAY + timedelta(days=1): run_of(DAY - timedelta(days=2))}
    tables.state.claims = {DAY: datetime(2024, 1, 20, tzinfo=UTC)}

    assert show(client).rows()[-3:] == [
        ["2024-01-15", "2024-01-20 00:00:00", "-", "computing"],
        ["2024-01-15", "2024-01-16 03:00:00", "1,234", "finished"],
        ["2024-01-16", "2024-01-14 03:00:00", "3", "finished: partial, up to 2024-01-14 03:00 UTC"],
    ]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ({"return_value": None}, "job aggregate-daily: found none, expected it to exist; `sluice provision` makes it"),
        ({"side_effect": SettingsError("no <b>credentials</b>")}, "no <b>credentials</b>"),
    ],
)
def test_without_the_job_the_page_says_why_and_shows_the_rest(
    changing: TestClient, mocker: MockerFixture, outcome: dict[str, Any], text: str
) -> None:
    mocker.patch.object(schedule, "_no_scheduler", return_value="")
    mocker.patch("infra.provision.scheduler_client.find_job", **outcome)

    page = show(changing)

    assert f"The state in the scheduler isn't known: {text}" in page.texts("p")
    assert page.rows()[0] == ["Schedule", "0 1 * * *"]
    assert page.texts("h2") == ["Next times of the declared schedule", "Runs"]
    assert page.texts("button") == []


def test_emulators_without_a_scheduler_never_lead_to_googles(changing: TestClient, find_job: Any, run_job: Any) -> None:
    page = show(changing)
    response = send(changing, "/schedule/run")

    assert any("without CLOUD_SCHEDULER_EMULATOR_HOST" in text for text in page.texts("p"))
    assert response.status_code == 503
    assert "without CLOUD_SCHEDULER_EMULATOR_HOST" in response.text
    assert (find_job.call_count, run_job.call_count) == (0, 0)


def test_a_scheduler_without_an_answer_delays_the_page_for_a_limited_time(
    client: TestClient, tables: Any, mocker: MockerFixture
) -> None:
    mocker.patch.object(schedule, "_DEADLINE", 0.05)
    answer = Event()
    mocker.patch("infra.provision.scheduler_client.find_job", side_effect=lambda *_: answer.wait())

    page = show(client)

    answer.set()
    assert "The state in the scheduler isn't known: the scheduler doesn't answer within 0.05 s" in page.texts("p")


@pytest.mark.parametrize(("published", "text"), [(True, "it has published its request"), (False, "isn't known yet")])
def test_the_job_is_run_once_and_the_page_shown_again(
    changing: TestClient, mocker: MockerFixture, find_job: Any, run_job: Any, published: bool, text: str
) -> None:
    mocker.patch.object(schedule, "_no_scheduler", return_value="")
    run_job.return_value = published
    assert show(changing).texts("button") == ["Run now"]

    response = send(changing, "/schedule/run")

    assert response.status_code == 303
    assert text in check_page(changing.get(response.headers["location"]).text).texts("p")[1]
    assert run_job.call_count == 1


def test_a_run_that_fails_is_a_page_with_the_error(changing: TestClient, mocker: MockerFixture, run_job: Any) -> None:
    mocker.patch.object(schedule, "_no_scheduler", return_value="")
    run_job.side_effect = SettingsError("job j: can't publish: <b>no topic</b>")

    response = send(changing, "/schedule/run")

    assert response.status_code == 503
    assert "job j: can't publish: <b>no topic</b>" in check_page(response.text).texts("p")


def test_a_read_only_console_does_not_run_the_job(client: TestClient, tables: Any, find_job: Any, run_job: Any) -> None:
    page = show(client)
    assert page.texts("button") == []
    assert any("--allow-changes, to run the job now" in text for text in page.texts("p"))

    assert send(client, "/schedule/run").status_code == 403
    assert run_job.call_count == 0


def test_another_site_does_not_run_the_job(changing: TestClient, run_job: Any) -> None:
    assert send(changing, "/schedule/run", origin="http://example.com").status_code == 403
    assert run_job.call_count == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_job_is_text(client: TestClient, tables: Any, find_job: Any, text: str) -> None:
    job = replace(DECLARED, schedule=text, time_zone=text, topic=text, data=text.encode(), description=text)
    find_job.return_value = replace(ENABLED, job=job, state=text, status=f"NOT_FOUND: {text}")

    page = show(client)

    assert page.all("script") == []
    if text.isprintable():
        assert page.rows()[3][2].startswith(text)
        assert page.rows()[5][5] == f"NOT_FOUND: {text}"
    assert client.get("/schedule", params={"run": text}).status_code == 400
