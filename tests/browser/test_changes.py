"""The main tasks of a console that may change something, in a browser, in the light and the dark theme."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.support.html_page import check_page


def test_days_requests_the_computation_of_a_day(changing_page: Page) -> None:
    changing_page.goto("/days?last=2024-01-16")
    changing_page.get_by_role("button", name="Compute 2024-01-15 now").click()

    expect(changing_page.get_by_role("status")).to_contain_text("2024-01-15 was requested")
    expect(changing_page.get_by_role("row").nth(1)).to_contain_text("2024-01-16")
    check_page(changing_page.content())


def test_schedule_runs_the_job_now(changing_page: Page) -> None:
    changing_page.goto("/")
    changing_page.get_by_role("link", name="Schedule").click()
    expect(changing_page.get_by_role("row", name="Schedule 0 1 * * *")).to_be_visible()
    expect(changing_page.get_by_role("heading", name="Next runs")).to_be_visible()
    changing_page.get_by_role("button", name="Run now").click()

    expect(changing_page.get_by_role("status")).to_contain_text("it has published its request")
    expect(changing_page.get_by_role("row", name="ENABLED")).to_contain_text(f"{datetime.now(UTC):%Y-%m-%d}")
    check_page(changing_page.content())


def test_rejected_leads_to_a_dry_run_and_to_a_replay_that_can_be_stopped(changing_page: Page) -> None:
    """The project has no function, so the replay waits; its progress appears without loading the page again."""
    changing_page.goto("/rejected")
    changing_page.get_by_role("button", name="Dry run").click()
    status = changing_page.get_by_role("status")
    expect(status).to_contain_text("1 events pass the contract now")
    expect(status).to_contain_text("nothing was changed")
    changing_page.get_by_role("button", name="Replay these events").click()

    expect(changing_page.get_by_role("button", name="Stop")).to_be_visible()  # the page of the replay has loaded
    changing_page.evaluate("document.body.dataset.loaded = 'once'")
    expect(status).to_contain_text("1 messages published")
    check_page(changing_page.content())
    assert changing_page.evaluate("document.body.dataset.loaded") == "once"
    changing_page.get_by_role("button", name="Stop").click()
    expect(status).to_contain_text("stopped before its end")
    expect(changing_page.get_by_role("link", name="Rejected events of")).to_be_visible()


@pytest.mark.parametrize("path", ["/days", "/rejected", "/rejected/replay", "/schedule"])
def test_a_page_with_forms_keeps_the_rules_of_every_page(changing_page: Page, path: str) -> None:
    changing_page.goto(path)

    check_page(changing_page.content())
