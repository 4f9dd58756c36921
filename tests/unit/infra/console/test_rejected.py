"""The page Rejected groups the rejected events of a day by rule and field, each group with an example."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_mock import MockerFixture
from starlette.testclient import TestClient

from infra.console.pages import rejected
from shared.validation.results import Finding
from tests.support.console_tables import DAY, HOSTILE
from tests.support.hostile import INVALID_JSON, UNUSUAL, content_of
from tests.support.html_page import check_page

TYPE = Finding("type", "page", "12", "string")
RANGE = Finding("range", "duration", "-1", "0 or more")
WARNING = Finding("length", "query", "600 characters", "at most 512", "warn")


def test_without_rejected_events_the_page_says_so(client: TestClient, tables: Any) -> None:
    page = check_page(client.get("/rejected?day=2024-01-15&rule=range").text)

    assert page.texts("p")[-3] == "No rejected events that broke range were first published on 2024-01-15."
    assert tables.rejected.day == DAY


def test_the_default_is_today(client: TestClient, tables: Any) -> None:
    before = datetime.now(UTC).date()
    check_page(client.get("/rejected").text)

    assert tables.rejected.day in (before, datetime.now(UTC).date())


def test_events_are_counted_by_rule_and_field(client: TestClient, tables: Any) -> None:
    tables.rejected.add(b'{"first": 1}', TYPE, RANGE, WARNING, source="message 7")
    tables.rejected.add(b'{"second": 2}', RANGE)

    page = check_page(client.get("/rejected?day=2024-01-15").text)

    assert page.rows() == [["range", "duration", "2", "example 1"], ["type", "page", "1", "example 2"]]
    assert page.texts("pre") == ['{"first": 1}'] * 2
    assert page.texts("li")[-3:] == [
        "type: page: found 12, expected string",
        "range: duration: found -1, expected 0 or more",
        "length (warning): query: found 600 characters, expected at most 512",
    ]
    assert "12 bytes from message 7, published 2024-01-15T10:00:00Z" in page.texts("p")[-3]


def test_a_rule_selects_its_events(client: TestClient, tables: Any) -> None:
    tables.rejected.add(b"1", TYPE, RANGE)
    tables.rejected.add(b"2", RANGE)

    page = check_page(client.get("/rejected?rule=type").text)

    assert [row[:3] for row in page.rows()] == [["type", "page", "1"]]
    assert [each.text for each in page.all("option") if "selected" in each.attributes] == ["type"]


@pytest.mark.parametrize("rule", ["nothing", *HOSTILE])
def test_an_unknown_rule_is_refused(client: TestClient, tables: Any, rule: str) -> None:
    response = client.get("/rejected", params={"rule": rule})

    assert response.status_code == 400
    assert "expected one of not_json, not_an_object" in check_page(response.text).texts("p")[-2]


@pytest.mark.parametrize("limit", ["_MAX_EVENTS", "_MAX_BYTES"])
def test_a_large_day_is_sampled(client: TestClient, tables: Any, mocker: MockerFixture, limit: str) -> None:
    mocker.patch.object(rejected, limit, 3)
    for _ in range(10):
        tables.rejected.add(b"1", RANGE)

    page = check_page(client.get("/rejected").text)

    assert "rejected events: a sample, since the day has more." in page.texts("p")[2]
    assert page.rows()[0][2] in ("3", "4")


def test_many_fields_are_left_out(client: TestClient, tables: Any) -> None:
    tables.rejected.add(b"1", *(Finding("unknown_field", f"f{number}", "1", "none") for number in range(70)))

    page = check_page(client.get("/rejected").text)

    assert len(page.rows()) == 50
    assert "20 more rules and fields with fewer events are left out." in page.texts("p")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_rejected_event_is_text(client: TestClient, tables: Any, text: str) -> None:
    tables.rejected.add(text.encode(), Finding("unknown_field", text, text, text), source=text)

    html = client.get("/rejected").text

    page = check_page(html)
    assert page.all("script") == []
    assert [each for each in html if not each.isprintable() and each != "\n"] == []
    if text.isprintable():
        assert page.texts("pre") == [text]
        assert page.rows()[0][1] == text


def test_hostile_rejected_messages_are_text(client: TestClient, tables: Any) -> None:
    for number, case in enumerate((*INVALID_JSON, *UNUSUAL)):
        raw = content_of(case.body()) + b"</pre><script>alert(1)</script>"
        tables.rejected.add(raw, Finding("not_json", str(number), "", ""))

    html = client.get("/rejected").text

    page = check_page(html)
    assert len(page.all("pre")) == 50
    assert [each for each in html if not each.isprintable() and each != "\n"] == []
