"""The main task of each page of the console, in a browser, in the light and the dark theme."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

_COLORS = "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"


def _luminance(color: str) -> float:
    """Return the relative luminance of a CSS color (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_days_shows_the_bars_and_goes_to_other_days(themed_page: Page) -> None:
    page = themed_page
    page.goto("/")

    expect(page.get_by_role("heading", level=1)).to_have_text("Days")
    expect(page.get_by_role("img", name="Events stored and rejected a day")).to_be_visible()
    expect(page.get_by_role("row", name="2024-01-15")).to_contain_text("501")
    page.get_by_label("Last day").fill("2024-01-15")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("2024-01-15")
    page.get_by_role("link", name="Earlier days").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("2023-12-16")


def test_user_shows_a_timeline_and_its_older_events(themed_page: Page) -> None:
    page = themed_page
    page.goto("/user")
    page.get_by_label("User").fill("user_0003")
    page.get_by_label("Until day").fill("2024-01-20")
    page.get_by_role("button", name="Show").click()

    expect(page.get_by_role("row").nth(1)).to_contain_text("2024-01-17 22:36:35")
    expect(page.get_by_role("row").nth(1)).to_contain_text("#20240117#user_0003")
    page.get_by_role("link", name="Older events").click()
    expect(page.get_by_text("Events of user_0003, newest first, continued")).to_be_visible()


def test_rejected_shows_the_events_of_a_rule_with_an_example(themed_page: Page) -> None:
    page = themed_page
    page.goto("/rejected")
    page.get_by_label("Rule", exact=True).select_option("type")
    page.get_by_role("button", name="Show").click()

    expect(page).to_have_url(re.compile(r"[?&]rule=type\b"))  # the page before it has an example 1, too
    expect(page.get_by_role("row", name="type event_id")).to_contain_text("1")
    page.get_by_role("link", name="example 1").click()
    expect(page.get_by_role("heading", name="Example 1: type")).to_be_in_viewport()
    expect(page.get_by_text("event_id: found 12345, expected string")).to_be_visible()


def test_explore_leads_to_a_value_and_to_a_user(themed_page: Page) -> None:
    page = themed_page
    page.goto("/explore")
    page.get_by_label("Top values of").select_option("user by total_events")
    page.get_by_label("Day", exact=True).fill("2024-01-15")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"[?&]day=2024-01-15\b"))  # the page before it has rows with links, too
    page.get_by_role("row").nth(1).get_by_role("link").click()

    expect(page.get_by_role("img", name="total_events a day")).to_be_visible()
    expect(page.get_by_role("columnheader", name="change since 2024-01-14").first).to_be_visible()
    page.get_by_role("link", name="Events of this user").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("2024-01-15")


def test_flow_is_live_and_does_not_grow(themed_page: Page, ingest_log: Path) -> None:
    """Summaries of 1,000 events, and as many hostile problems, don't make the page larger."""
    page = themed_page
    page.goto("/flow")
    total = page.get_by_role("row", name="Events stored").get_by_role("cell").last
    sizes = []
    for _ in range(5):
        expected = int((total.text_content() or "").replace(",", "")) + 1_000
        problems = [f"<img src=x onerror=alert({number})>" for number in range(1_000)]
        entries = [{"event": "message_failed", "severity": "ERROR", "message": problem} for problem in problems]
        entries.append({"event": "ingest_summary", "severity": "INFO", "stored": 1_000, "messages": 10})
        with ingest_log.open("a") as log:
            log.writelines(f"{json.dumps(entry)}\n" for entry in entries)
        expect(total).to_have_text(f"{expected:,}")
        sizes.append(page.evaluate("document.querySelectorAll('#live :not(svg *)').length"))

    assert sizes[-1] <= 70
    assert page.evaluate("document.images.length") == 0
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")


def test_pages_work_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/flow")
    expect(page.get_by_role("row", name="Events stored")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    context.close()


def test_the_text_has_contrast_in_both_themes(themed_page: Page) -> None:
    page = themed_page
    page.goto("/days")
    text, ground = map(_luminance, page.evaluate(_COLORS))

    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (text > ground) == is_dark
    # https://www.w3.org/TR/WCAG22/#contrast-enhanced
    assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 7


def test_the_keyboard_skips_to_the_content(page: Page) -> None:
    page.goto("/days")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Last day")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
