"""Events are validated live in a browser: typed, dropped as a file, and against an edited contract."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Browser, Page, expect

from tests.support.html_page import check_page
from tests.support.samples import music_event

EVENT = json.dumps(music_event(1))
DROP = """([name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name));
  document.getElementById("file").dispatchEvent(
    new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


def test_a_typed_event_has_its_verdict_live(themed_page: Page) -> None:
    page = themed_page
    page.goto("/contract")
    events, summary = page.get_by_label("Events: JSON"), page.get_by_role("status")
    events.fill(EVENT)
    expect(summary).to_have_text("pasted text: 1 accepted.")
    expect(page.get_by_text("#20240115#user-1")).to_be_visible()

    events.press("End")
    events.press("Backspace")
    expect(summary).to_have_text("pasted text: 1 rejected.")
    expect(page.get_by_text("not_json: found")).to_be_visible()
    expect(page.get_by_text("#20240115#user-1")).to_have_count(0)

    events.type("}")
    expect(summary).to_have_text("pasted text: 1 accepted.")
    check_page(page.content())


def test_hostile_events_are_text_when_they_are_typed(page: Page) -> None:
    hostile = "<img src=x onerror=alert(1)></textarea><script>alert(1)</script>\u202e"
    page.goto("/contract")
    page.get_by_label("Events: JSON").fill(f"{json.dumps(music_event(1, page=hostile), ensure_ascii=False)}\n{hostile}")

    expect(page.get_by_role("status")).to_have_text("pasted text: 1 accepted, 1 rejected.")
    expect(page.get_by_role("heading", name="pasted text:2: rejected")).to_be_visible()
    assert page.evaluate("[document.images.length, document.scripts.length]") == [0, 1]
    assert "\u202e" not in page.locator("#verdicts").inner_text()


def test_a_dropped_file_is_validated(page: Page) -> None:
    page.goto("/contract")
    page.evaluate(
        DROP, ["events.csv", "event_id,userId,timestamp,event_type\n1,u,2024-01-15T10:00:00Z,like\n2,u,x,like\n"]
    )

    expect(page.get_by_role("status")).to_have_text("events.csv: 1 accepted, 1 rejected.")
    expect(page.get_by_role("row", name="type timestamp")).to_contain_text("reject")
    expect(page.get_by_text("timestamp: found", exact=False).first).to_be_visible()


def test_a_chosen_file_is_validated_until_text_replaces_it(page: Page) -> None:
    page.goto("/contract")
    chosen = {"name": "a.ndjson", "mimeType": "text/plain", "buffer": f"{EVENT}\n{EVENT}\n".encode()}
    page.get_by_label("Or a file").set_input_files([chosen])
    expect(page.get_by_role("status")).to_have_text("a.ndjson: 2 accepted.")

    page.get_by_label("Events: JSON").fill(EVENT)
    expect(page.get_by_role("status")).to_have_text("pasted text: 1 accepted.")
    page.get_by_role("button", name="Validate").click()
    expect(page).to_have_url(f"{page.url.partition('/contract')[0]}/contract")
    expect(page.get_by_label("Events: JSON")).to_have_value(EVENT)


def test_a_refused_form_and_a_missing_server_are_explained(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address)
    page = context.new_page()
    page.goto("/contract")
    page.evaluate("events.value = 'x'.repeat(2 ** 21)")
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("status")).to_contain_text("Expected at most 1 MiB of text and one file.")

    context.set_offline(True)
    page.get_by_label("Events: JSON").fill("1")
    expect(page.get_by_role("status")).to_contain_text("The console doesn't answer")
    context.close()


def test_the_form_works_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/contract")
    expect(page.get_by_text("A file can also be dropped here.")).to_be_hidden()
    page.get_by_label("Events: JSON").fill(f"\n{EVENT}\n\n\t[")
    page.get_by_role("button", name="Validate").click()

    expect(page.get_by_role("status")).to_contain_text("pasted text: 1 accepted")
    expect(page.get_by_label("Events: JSON")).to_have_value(f"\n{EVENT}\n\n\t[")
    chosen = {"name": "a.json", "mimeType": "text/plain", "buffer": f"[{EVENT}]".encode()}
    page.get_by_label("Or a file").set_input_files([chosen])
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("status")).to_have_text("a.json: 1 accepted.")
    context.close()


def test_an_edited_contract_accepts_rejected_events(page: Page) -> None:
    page.goto("/rejected")
    page.get_by_label("Rule", exact=True).select_option("one_of")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"[?&]rule=one_of\b"))  # the page before it has the link, too
    page.get_by_role("link", name="edited contract").click()
    contract = page.get_by_label("Contract", exact=True)
    text = contract.input_value()
    contract.fill(text.replace('["click", ', "["))
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("status")).to_have_text("2 rejected events: 2 rejected.")

    contract.fill(text.replace("\none_of =", "\n# one_of ="))
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("status")).to_have_text("2 rejected events: 1 accepted, 1 rejected.")
    check_page(page.content())

    contract.fill(text.replace('"lower"', '"small"'))
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("alert")).to_contain_text("fields.event_type.case: found 'small', expected 'lower' or")
