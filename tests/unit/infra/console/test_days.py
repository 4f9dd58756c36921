"""The page Days shows the quality of each day and the state of its run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pytest_mock import MockerFixture
from starlette.testclient import TestClient

from shared.errors import StoreUnavailableError
from tests.support.console_forms import send
from tests.support.console_tables import DAY, HOSTILE, run_of
from tests.support.html_page import check_page


def _quality(tables: Any, day: date, stored: int, rejected: int, **more: Any) -> None:
    tables.state.all_runs[day] = run_of(day)
    share = rejected / (stored + rejected)
    measures = {"stored": stored, "rejected": rejected, "share_rejected": share, **more}
    tables.aggregates.measures["quality", "all", day] = measures


def test_without_a_run_the_page_names_the_command(client: TestClient, tables: Any) -> None:
    page = check_page(client.get("/days?last=2024-01-15").text)

    assert page.texts("code") == ["sluice aggregate --date 2024-01-15"]
    assert page.rows()[0] == ["2024-01-15", "-", "-", "-", "not computed", "-"]


def test_a_day_has_its_counts_and_its_bars(client: TestClient, tables: Any) -> None:
    _quality(tables, DAY, 1_500, 500)

    page = check_page(client.get("/days").text)

    assert page.rows()[0] == ["2024-01-15", "1,500", "500", "25.00%", "computed", "2024-01-16 03:00:00"]
    assert len(page.rows()) == 30
    [*_, stored, rejected] = [each.attributes for each in page.all("rect")]
    assert (stored["class"], stored["height"]) == ("bar", "135.0")
    assert (rejected["class"], rejected["height"], rejected["y"]) == ("bar-top", "45.0", "0.0")


def test_a_day_that_needs_attention_says_why(client: TestClient, tables: Any) -> None:
    for number in range(5):
        _quality(tables, DAY + timedelta(days=number), 3, 1)
    del tables.state.all_runs[DAY + timedelta(days=1)]
    tables.state.all_runs[DAY + timedelta(days=2)] = run_of(DAY)
    tables.state.late = [DAY + timedelta(days=3)]
    tables.state.claims = {DAY + timedelta(days=3): datetime(2024, 1, 20, 7, 8, 9, tzinfo=UTC)}
    _quality(tables, DAY + timedelta(days=4), 3, 1, too_many_rejected=True)

    page = check_page(client.get("/days").text)

    assert [row[4] for row in page.rows()][:6] == [
        "too many rejected",
        "computing since 2024-01-20 07:08:09, late events, due again",
        "partial, up to 2024-01-16 03:00 UTC",
        "missing",
        "computed",
        "not computed",
    ]


def test_an_unfinished_day_says_up_to_when_it_is_counted(client: TestClient, tables: Any) -> None:
    _quality(tables, DAY, 3, 1)
    tables.state.all_runs[DAY] = run_of(DAY, micros=int(datetime(2024, 1, 15, 10, 45, tzinfo=UTC).timestamp()) * 10**6)

    page = check_page(client.get("/days").text)

    assert page.rows()[0] == ["2024-01-15", "3", "1", "25.00%", "partial, up to 10:45 UTC", "2024-01-15 10:45:00"]


def test_the_links_lead_to_the_days_around(client: TestClient, tables: Any) -> None:
    _quality(tables, DAY, 1, 1)

    links = {each.text: each.attributes["href"] for each in check_page(client.get("/days").text).all("a")}

    assert links["Earlier days"] == "/days?last=2023-12-16"
    assert links["Later days"] == "/days?last=2024-02-14"


@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", "0001-01-01", "9999-12-31", *HOSTILE])
def test_an_invalid_day_is_refused_and_escaped(client: TestClient, tables: Any, text: str) -> None:
    response = client.get("/days", params={"last": text})

    assert response.status_code == 400
    page = check_page(response.text)
    assert "expected a day such as 2024-01-15" in page.texts("p")[-2]
    assert text not in response.text or text.isalnum() or text[0].isdigit()
    assert [each for each in response.text if not each.isprintable() and each != "\n"] == []


def test_an_empty_page_goes_back_to_the_newest_day_with_events(client: TestClient, tables: Any) -> None:
    """The daily job computes yesterday, too, when only events of older days were published."""
    for days, events in ((0, 0), (29, 5), (40, 7)):
        tables.state.all_runs[DAY - timedelta(days=days)] = run_of(DAY - timedelta(days=days), events=events)
    assert check_page(client.get("/days").text).rows()[0][0] == "2024-01-15"

    tables.state.all_runs[DAY - timedelta(days=29)] = run_of(DAY - timedelta(days=29), events=0)
    assert check_page(client.get("/days").text).rows()[0][0] == "2023-12-06"


@pytest.fixture
def request_day(mocker: MockerFixture) -> Any:
    """Replaces the publication of requests."""
    return mocker.patch("infra.console.pages.days.request_day")


def test_a_day_is_requested_and_its_page_shown_again(changing: TestClient, request_day: Any) -> None:
    buttons = [each.attributes for each in check_page(changing.get("/days?last=2024-01-16").text).all("button")][1:]
    assert (len(buttons), buttons[0]["aria-label"]) == (30, "Compute 2024-01-16 now")

    response = send(changing, "/days/request?last=2024-01-16", day=buttons[1]["value"])

    assert (response.status_code, response.headers["location"]) == (303, "/days?last=2024-01-16&requested=2024-01-15")
    [call] = request_day.await_args_list
    assert call.args[1] == DAY
    page = check_page(changing.get(response.headers["location"]).text)
    assert "2024-01-15 was requested from the function aggregate." in page.texts("p")[1]
    assert request_day.await_count == 1


def test_a_read_only_console_requests_no_day(client: TestClient, tables: Any, request_day: Any) -> None:
    page = check_page(client.get("/days").text)
    assert page.texts("button") == ["Show"]
    assert any("--allow-changes, to compute days from here" in text for text in page.texts("p"))

    response = send(client, "/days/request", day="2024-01-15")

    assert (response.status_code, request_day.await_count) == (403, 0)


def test_another_site_requests_no_day(changing: TestClient, request_day: Any) -> None:
    response = send(changing, "/days/request", origin="http://example.com", day="2024-01-15")

    assert (response.status_code, request_day.await_count) == (403, 0)


def test_a_day_that_has_not_begun_is_not_requested(changing: TestClient, request_day: Any) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    page = check_page(changing.get(f"/days?last={tomorrow}").text)
    assert f"Compute {tomorrow} now" not in [each.attributes.get("aria-label") for each in page.all("button")]

    response = send(changing, "/days/request", day=str(tomorrow))

    assert (response.status_code, request_day.await_count) == (400, 0)
    assert f"found {tomorrow}, expected one up to today" in response.text


@pytest.mark.parametrize("text", ["", "yesterday", *HOSTILE])
def test_an_invalid_day_is_not_requested(changing: TestClient, request_day: Any, text: str) -> None:
    response = send(changing, "/days/request", day=text)

    assert (response.status_code, request_day.await_count) == (400, 0)
    assert check_page(response.text).all("script") == []
    assert [each for each in response.text if not each.isprintable() and each != "\n"] == []
    assert changing.get("/days", params={"requested": text or "x"}).status_code == 400


def test_a_request_that_pubsub_does_not_accept_is_a_page_with_the_error(changing: TestClient, request_day: Any) -> None:
    request_day.side_effect = StoreUnavailableError("topic t: <b>no answer</b>")

    response = send(changing, "/days/request", day="2024-01-15")

    assert response.status_code == 503
    assert "topic t: <b>no answer</b>" in check_page(response.text).texts("p")
