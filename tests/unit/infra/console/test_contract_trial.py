"""The rejected events of a day are validated against an edited contract; nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_mock import MockerFixture
from starlette.testclient import TestClient

from infra.console.pages import rejected
from infra.console.trial import validation
from shared.validation.results import Finding
from tests.support.console_tables import HOSTILE
from tests.support.html_page import Page, check_page
from tests.support.samples import MUSIC_CONTRACT, music_event

ORIGIN = {"origin": "http://127.0.0.1:8087"}
MUSIC = MUSIC_CONTRACT.read_text("utf-8")
ONE_OF = Finding("one_of", "event_type", '"skip"', "one of click, song_play, page_view, search, like")


def post(client: TestClient, contract: str, query: str = "") -> Page:
    address = f"/rejected/try?day=2024-01-15{query}"
    response = client.post(address, headers=ORIGIN, files={"contract": (None, contract.encode())})
    assert response.status_code == 200, response.text
    assert [each for each in response.text if not each.isprintable() and each != "\n"] == []
    return check_page(response.text)


def status(page: Page) -> str:
    [text] = [each.text for each in page.all("p") if each.attributes.get("role") == "status"]
    return text


def problem(page: Page) -> str:
    [text] = [each.text for each in page.all("p") if each.attributes.get("role") == "alert"]
    return text


def add_skips(tables: Any, count: int) -> None:
    for number in range(count):
        tables.rejected.add(json.dumps(music_event(number, event_type="skip")).encode(), ONE_OF, source=f"m{number}")


def test_the_form_has_the_contract_in_use(client: TestClient, tables: Any) -> None:
    tables.rejected.add(b"1", Finding("type", "page", "12", "string"))
    [link] = [
        each.attributes["href"]
        for each in check_page(client.get("/rejected?day=2024-01-15&rule=type").text).all("a")
        if each.text == "Validate these events against an edited contract"
    ]
    page = check_page(client.get(link).text)

    assert page.all("textarea")[0].texts == [f"\n{MUSIC}"]
    assert page.all("form")[0].attributes["action"] == link == "/rejected/try?day=2024-01-15&rule=type"
    assert page.all("h2") == []


def test_the_contract_in_use_rejects_the_events_again(client: TestClient, tables: Any) -> None:
    add_skips(tables, 3)

    page = post(client, MUSIC)

    assert status(page) == "3 rejected events: 3 rejected."
    assert page.rows() == [["one_of", "event_type", "reject", "3"]]
    assert page.texts("h3") == ["m0: rejected", "m1: rejected", "m2: rejected"]


def test_an_edited_contract_accepts_the_events_that_it_allows(client: TestClient, tables: Any) -> None:
    add_skips(tables, 2)
    tables.rejected.add(b"{}", Finding("required", "event_id", "nothing", "a value"), source="m9")

    page = post(client, MUSIC.replace('"click", ', '"skip", "click", '))

    assert status(page) == "3 rejected events: 2 accepted, 1 rejected."
    assert ["required", "event_id", "reject", "1"] in page.rows()
    assert page.texts("h3") == ["m9: rejected", "m0: accepted", "m1: accepted"]
    assert json.loads(page.texts("pre")[1])["event_type"] == "skip"
    assert page.texts("code")[0].endswith("#20240115#user-0")
    assert '"skip", "click", ' in page.texts("textarea")[0]


def test_an_event_is_validated_with_its_own_publish_time(client: TestClient, tables: Any) -> None:
    """The events of the fixture were published on 2024-01-15 at 10:00 UTC, which is years before the clock."""
    for time in ("2024-01-15T10:04:00Z", "2024-01-15T10:06:00Z", "2024-01-14T10:00:00Z"):
        tables.rejected.add(json.dumps(music_event(1, timestamp=time)).encode(), ONE_OF)

    page = post(client, MUSIC.replace('max_future = "5m"', 'max_future = "5m"\nmax_age = "1h"'))

    assert status(page) == "3 rejected events: 1 accepted, 2 rejected."
    assert page.rows() == [["future", "timestamp", "reject", "1"], ["too_old", "timestamp", "reject", "1"]]


def test_a_rule_selects_the_events(client: TestClient, tables: Any) -> None:
    add_skips(tables, 2)
    tables.rejected.add(b"1", Finding("not_an_object", "", "int", "a JSON object"))

    assert status(post(client, MUSIC, "&rule=not_an_object")) == "1 rejected events: 1 rejected."
    assert status(post(client, MUSIC, "&rule=length")) == "0 rejected events."


def test_a_large_day_is_sampled(client: TestClient, tables: Any, mocker: MockerFixture) -> None:
    mocker.patch.object(rejected, "_MAX_EVENTS", 3)
    add_skips(tables, 5)

    assert status(post(client, MUSIC)) == "3 rejected events, a sample since the day has more: 3 rejected."


def test_the_validation_ends_at_its_time_limit(client: TestClient, tables: Any, mocker: MockerFixture) -> None:
    mocker.patch.object(validation, "MAX_SECONDS", 0.0)
    add_skips(tables, 5)

    assert "The validation ended after 20 seconds; the rest is left out." in status(post(client, MUSIC))


@pytest.mark.parametrize(
    ("contract", "text"),
    [
        ("", "the edited contract: version: found nothing, expected 1"),
        ("version = ", "the edited contract: not TOML: Invalid value (at end of document)"),
        ("version = 1\nname =\n", "the edited contract: not TOML: Invalid value (at line 2, column 7)"),
        ("a.\x00 = 1", "the edited contract: not TOML: Invalid initial character for a key part (at line 1, column 3)"),
        (f"a = {'[' * 20_000}", "the edited contract: not TOML: "),
        (f"a.{'b.' * 5_000}c = 1", "the edited contract: a: found a value with too many levels, expected only the top"),
        (f"a = {'9' * 5_000}", "the edited contract: not TOML: "),
        ("fields = 1", "the edited contract: version: found nothing, expected 1"),
        ("fields.x = 1", "the edited contract: version: found nothing, expected 1"),
        (MUSIC.replace('"day"', '"week"'), "the edited contract: event.bucket: found 'week', expected 'day' or 'hour'"),
        (MUSIC.replace("{1,64}", "{1,6400}"), "the edited contract: fields.song_id.pattern: found"),
        (MUSIC.replace("{1,64}", "{1000}" * 2), "the edited contract: fields.song_id.pattern: found"),
        (
            MUSIC.replace("[A-Za-z0-9_-]{1,64}", "[a-q]{1000}" * 90),
            "the edited contract: fields.song_id.pattern: found",
        ),
        (MUSIC + "#" * 32 * 1024, "the edited contract: found 34,254 bytes, expected at most 32,768"),
        (
            MUSIC + "".join(f"[fields.f{number}]\ntype = 'string'\npattern = 'a'\n" for number in range(100)),
            "the edited contract: fields: found 101 patterns, expected at most 100",
        ),
    ],
)
def test_an_invalid_contract_is_explained(client: TestClient, tables: Any, contract: str, text: str) -> None:
    add_skips(tables, 1)

    page = post(client, contract)

    assert problem(page).startswith(text)
    assert page.all("textarea")[0].attributes["aria-invalid"] == "true"
    assert page.all("h2") == []


def test_a_contract_with_many_hostile_patterns_is_answered(client: TestClient, tables: Any) -> None:
    patterns = [f"[fields.f{number}]\ntype = 'string'\npattern = '[a-q]{{800}}{number}'\n" for number in range(99)]
    add_skips(tables, 2)

    assert status(post(client, MUSIC + "".join(patterns))) == "2 rejected events: 2 rejected."


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_contracts_and_events_are_text(client: TestClient, tables: Any, text: str) -> None:
    tables.rejected.add(text.encode(), Finding("unknown_field", text, text, text), source=text)
    tables.rejected.add(json.dumps(music_event(1, page=text, event_id=text)).encode(), ONE_OF, source=text)
    for page in (
        post(client, text),
        post(client, f"# {text}\n{MUSIC}"),
        post(client, f"{MUSIC}\n{json.dumps(text)} = 1"),
    ):
        assert page.all("script") == []
        assert page.all("img") == []


@pytest.mark.parametrize("query", ["?day=x", "?rule=nothing"])
def test_an_invalid_parameter_is_refused(client: TestClient, tables: Any, query: str) -> None:
    assert client.get(f"/rejected/try{query}").status_code == 400
    assert client.post(f"/rejected/try{query}", headers=ORIGIN, data={"contract": MUSIC}).status_code == 400
