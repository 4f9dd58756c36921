"""The page User shows the events of a user with their cells, page by page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from shared.tables.events import Position
from tests.support.console_tables import HOSTILE
from tests.support.hostile import INVALID_JSON, UNUSUAL, content_of
from tests.support.html_page import check_page

TIME = datetime(2024, 1, 15, 23, 59, 59, 123_456, tzinfo=UTC)


def _links(html: str) -> dict[str, str]:
    return {each.text: each.attributes["href"] for each in check_page(html).all("a")}


def test_without_a_user_the_page_has_only_the_form(client: TestClient, tables: Any) -> None:
    page = check_page(client.get("/user").text)

    assert [each.attributes["name"] for each in page.all("input")] == ["user", "until"]
    assert page.all("table") == []
    assert tables.events.asked == {}


def test_an_event_has_its_time_and_its_cell(client: TestClient, tables: Any) -> None:
    tables.events.add("zoë", "e/1", TIME, b'{"page":"/home"}')

    page = check_page(client.get("/user", params={"user": "zoë", "until": "2024-01-15"}).text)

    assert page.texts("caption") == ["Events of zoë, newest first"]
    assert page.rows() == [
        [
            "2024-01-15 23:59:59.123456",
            '{"page":"/home"}',
            "14#20240115#zo%C3%AB00000876543#e%2F12024-01-15 23:59:59.123000",
        ]
    ]
    assert tables.events.asked == {
        "end": datetime(2024, 1, 16, tzinfo=UTC),
        "limit": 50,
        "lookback_days": 400,
        "after": None,
    }


def test_a_full_page_links_to_the_events_after_its_last_cell(client: TestClient, tables: Any) -> None:
    for number in range(50):
        tables.events.add("u", f"a&b {number}", TIME, b"{}")

    links = _links(client.get("/user?user=u").text)
    assert "Search earlier days" not in links
    assert client.get(links["Older events"]).status_code == 200

    day = (TIME - datetime(1970, 1, 1, tzinfo=UTC)).days
    assert tables.events.asked["after"] == Position(day, b"00000876543#a%26b%2049")


def test_a_page_that_is_not_full_links_to_days_before_the_lookback(client: TestClient, tables: Any) -> None:
    response = client.get("/user?user=a%26b&until=2024-02-04")

    assert "No events of a&b in the 400 days before 2024-02-05 00:00:00." in check_page(response.text).texts("p")
    assert _links(response.text)["Search earlier days"] == "/user?user=a%26b&until=2022-12-31"
    assert "Search earlier days" not in _links(client.get("/user?user=u&until=1971-01-01").text)


@pytest.mark.parametrize(
    "after",
    ["x", "20240230#00000876543#e", "20240115#99999999999#e", "20240115#00000876543#", *HOSTILE],
)
def test_an_invalid_cursor_is_refused(client: TestClient, tables: Any, after: str) -> None:
    response = client.get("/user", params={"user": "u", "after": after})

    assert response.status_code == 400
    assert "expected the cursor of a link of this page" in check_page(response.text).texts("p")[-2]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_user_and_event_are_text(client: TestClient, tables: Any, text: str) -> None:
    for _ in range(50):
        tables.events.add(text, text, TIME, json.dumps({"page": text}, ensure_ascii=False).encode())

    html = client.get("/user", params={"user": text}).text

    page = check_page(html)
    assert page.all("script") == []
    assert len(page.rows()) == 50
    assert [each for each in html if not each.isprintable() and each != "\n"] == []
    if text.isprintable():
        assert page.texts("caption") == [f"Events of {text}, newest first"]


def test_hostile_messages_are_text(client: TestClient, tables: Any) -> None:
    contents = {content_of(case.body()) for case in (*INVALID_JSON, *UNUSUAL)}
    for content in contents:
        tables.events.add("u", "e", TIME, content + b"</code><script>alert(1)</script>")

    html = client.get("/user?user=u").text

    page = check_page(html)
    assert len(page.rows()) == min(len(contents), 50)
    assert [each for each in html if not each.isprintable() and each != "\n"] == []
    assert len(html) < 50 * 12_000
