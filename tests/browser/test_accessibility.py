"""axe-core finds nothing on any page, in the light and the dark theme, and every page keeps the rules of its HTML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support import axe
from tests.support.html_page import check_page

# Every page with content. A new page is one more line.
PAGES = {
    "days": "/days",
    "days without a run": "/days?last=2020-01-01",
    "user": "/user?user=user_0003&until=2024-01-20",
    "user without events": "/user?user=nobody",
    "rejected with examples": "/rejected",
    "explore with a value": "/explore?by=song+by+plays&day=2024-01-16&value=song_000",
    "explore with a value alone": "/explore?value=user_0003",
    "replay": "/rejected/replay",
    "trial of an edited contract": "/rejected/try",
    "contract": "/contract",
    "schedule": "/schedule",
    "flow of a running stack": "/flow",
    "error": "/days?last=x",
    "not found": "/nothing",
}


@pytest.fixture(scope="session")
def axe_script() -> str:
    """The script of axe-core."""
    return axe.install()


def _as_success(route: Route) -> None:
    """Answer a page with the status 200: the browser would log an error for the page of another status."""
    if route.request.is_navigation_request():
        route.fulfill(response=route.fetch(), status=200)
    else:
        route.continue_()


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_a_page_is_accessible_and_keeps_the_rules_of_every_page(
    page: Page, axe_script: str, ingest_log: Path, path: str
) -> None:
    entries = [
        {"event": "ingest_summary", "severity": "INFO", "stored": 1_000, "messages": 10},
        {"event": "message_failed", "severity": "ERROR", "message": "bigtable is away"},
    ]
    with ingest_log.open("a") as log:
        log.writelines(f"{json.dumps(entry)}\n" for entry in entries)
    page.route("**/*", _as_success)
    page.goto(path)

    check_page(page.content())
    assert axe.violations(page, axe_script) == []


def test_axe_finds_a_violation(page: Page, axe_script: str) -> None:
    page.goto("/days")
    page.evaluate("document.querySelector('label').remove()")
    page.evaluate("document.querySelector('caption').style.color = '#777'")

    found = axe.violations(page, axe_script)

    rules = [tuple(each.split(": ")[:2]) for each in found]
    assert sorted(rules) == [(theme, rule) for theme in ("dark", "light") for rule in ("color-contrast", "label")]
    expect(page.get_by_role("heading", level=1)).to_have_text("Days")
