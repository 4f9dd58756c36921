"""The page Explore shows the top values of a day, and one value over days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.console.app import create_app
from shared.config import Settings
from tests.support.console_tables import DAY, HOSTILE, FakeAggregates, FakeState, run_of
from tests.support.html_page import Page, check_page


def show(client: TestClient, **parameters: str) -> Page:
    response = client.get("/explore", params=parameters)
    assert response.status_code == 200, response.text
    assert [each for each in response.text if not each.isprintable() and each != "\n"] == []
    return check_page(response.text)


def test_the_default_is_the_first_measure_on_the_newest_computed_day(client: TestClient, tables: Any) -> None:
    tables.state.all_runs[DAY] = run_of(DAY)
    tables.aggregates.measures["user", "u1", DAY] = {"total_events": 1_234, "listening_seconds": 2.5}

    page = show(client)

    assert [each.text for each in page.all("option") if "selected" in each.attributes] == ["user by total_events"]
    assert page.rows() == [["u1", "1,234", "-", "2.50", "-", "-"]]
    assert page.texts("h2") == ["Top values on 2024-01-15"]


def test_the_top_values_of_an_unfinished_day_are_marked_as_partial(client: TestClient, tables: Any) -> None:
    tables.aggregates.measures["song", "s", DAY] = {"plays": 1}
    marker = "2024-01-15 is partial, up to 10:45 UTC: later events aren't counted yet."
    micros = int(datetime(2024, 1, 15, 10, 45, tzinfo=UTC).timestamp()) * 10**6

    tables.state.all_runs[DAY] = run_of(DAY, micros=micros)
    assert marker in show(client, by="song by plays", day="2024-01-15").texts("p")

    tables.state.all_runs[DAY] = run_of(DAY)
    assert not [text for text in show(client, by="song by plays", day="2024-01-15").texts("p") if "partial" in text]


def test_a_value_has_its_measures_over_days(client: TestClient, tables: Any) -> None:
    for number in range(3):
        measures = {"plays": number + 1, "unique_users": 70_000, "unique_users_error": 0.0081, "mean_seconds": None}
        tables.aggregates.measures["song", "a/b c", DAY - timedelta(days=number)] = measures

    top = show(client, by="song by plays", day="2024-01-15")
    [link] = [each.attributes["href"] for each in top.all("a") if each.text == "a/b c"]
    page = check_page(client.get(link).text)

    assert page.texts("h2")[0] == "song a/b c over days"
    assert page.rows()[:3] == [
        ["plays", "1", "-1 (-50.0%)", "-"],
        ["unique_users", "70,000 ± 0.81%", "≈ 0 (+0.0%)", "-"],
        ["mean_seconds", "-", "-", "-"],
    ]
    assert page.rows()[3:7] == [
        ["2024-01-15", "1", "70,000 ± 0.81%", "-"],
        ["2024-01-14", "2", "70,000 ± 0.81%", "-"],
        ["2024-01-13", "3", "70,000 ± 0.81%", "-"],
        ["2024-01-12", "-", "-", "-"],
    ]
    assert [float(each.attributes["height"]) for each in page.all("rect")][-3:] == [180, 120, 60]
    assert "Events of this user" not in page.texts("a")


def test_a_value_is_compared_with_the_day_before_and_the_week_before(client: TestClient, tables: Any) -> None:
    for days, plays in ((0, 90), (1, 60), (7, 120)):
        tables.aggregates.measures["song", "s", DAY - timedelta(days=days)] = {"plays": plays}

    page = show(client, by="song by plays", day="2024-01-15", value="s")

    assert page.rows()[0] == ["plays", "90", "+30 (+50.0%)", "-30 (-25.0%)"]
    headings = [each.text for each in page.all("th") if each.attributes["scope"] == "col"]
    assert headings[:4] == ["Measure", "2024-01-15", "change since 2024-01-14", "change since 2024-01-08"]


def test_the_top_values_have_the_change_of_their_measure(client: TestClient, tables: Any) -> None:
    """The other days are read by the rows of the shown values only."""
    for number in range(30):
        tables.aggregates.measures["song", f"s{number:02}", DAY] = {"plays": 100 - number, "unique_users": 3}
        tables.aggregates.measures["song", f"s{number:02}", DAY - timedelta(days=1)] = {"plays": 50}
    tables.aggregates.measures["song", "s01", DAY - timedelta(days=7)] = {"plays": 0}

    page = show(client, by="song by plays", day="2024-01-15")

    assert page.rows()[:2] == [
        ["s00", "100", "3", "-", "+50 (+100.0%)", "-"],
        ["s01", "99", "3", "-", "+49 (+98.0%)", "+99"],
    ]
    shown = [f"s{number:02}" for number in range(20)]
    assert tables.aggregates.asked == [(shown, DAY - timedelta(days=1)), (shown, DAY - timedelta(days=7))]


def test_no_day_before_1970_is_read(client: TestClient, tables: Any) -> None:
    day = date(1970, 1, 3)
    tables.aggregates.measures["song", "s", day] = {"plays": 3}
    tables.aggregates.measures["song", "s", day - timedelta(days=1)] = {"plays": 2}

    page = show(client, by="song by plays", day="1970-01-03", value="s")

    assert page.rows()[0] == ["plays", "3", "+1 (+50.0%)"]
    assert [asked for _, asked in tables.aggregates.asked] == [date(1970, 1, 2)]


def test_a_user_links_to_the_timeline(client: TestClient, tables: Any) -> None:
    page = show(client, by="user by total_events", day="2024-01-15", value="a&b")

    [link] = [each.attributes["href"] for each in page.all("a") if each.text == "Events of this user"]
    assert link == "/user?user=a%26b&until=2024-01-15"
    assert "No measures of user a&b in the thirty days up to 2024-01-15." in page.texts("p")


@pytest.mark.parametrize("by", ["song", "song by nothing", *HOSTILE])
def test_an_unknown_measure_is_refused(client: TestClient, tables: Any, by: str) -> None:
    response = client.get("/explore", params={"by": by})

    assert response.status_code == 400
    assert "expected one of user by total_events" in check_page(response.text).texts("p")[-2]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_and_measures_are_text(client: TestClient, tables: Any, text: str) -> None:
    tables.aggregates.measures["song", text, DAY] = {"plays": text, "mean_seconds": [text], "unique_users": {text: 1}}

    page = show(client, by="song by plays", day="2024-01-15", value=text)

    assert page.all("script") == []
    if text.isprintable():
        assert page.rows()[0][1:] == [text, "-", "-"]
        assert page.rows()[-1][0] == text


@pytest.mark.parametrize("number", [10**400, -(10**400), 1e308, 10**15])
def test_huge_numbers_are_shown(client: TestClient, tables: Any, number: float) -> None:
    tables.aggregates.measures["song", "s", DAY] = {"plays": number}

    text = show(client, by="song by plays", day="2024-01-15", value="s").rows()[0][1]

    assert text in ("inf", "-inf", "1e+308", "1e+15")


def test_a_contract_without_aggregates_has_nothing_to_explore(tmp_path: Path) -> None:
    music = Path("shared/contracts/music.toml").read_text("utf-8")
    contract = tmp_path / "contract.toml"
    contract.write_text(music[: music.index("[aggregates.")])
    app = create_app(Settings("p", "i", contract=contract))
    app.state.tables.state, app.state.tables.aggregates = FakeState(), FakeAggregates()
    with TestClient(app, base_url="http://localhost") as client:
        assert "The contract has no aggregates." in show(client).texts("p")
