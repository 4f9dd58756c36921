"""The live page under load: a running stack with 1,000 events a second."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, CDPSession, Locator, Page, expect

from infra.local.ports import answers
from infra.local.stack import Stack
from tests.support import axe
from tests.support.processes import eventually
from tests.support.samples import ROOT, lines, music_event

_RATE, _SECONDS = 1_000, 9
# Growth from the middle to the end that isn't a leak: findings of the ten messages, and what allocators keep.
_MAX_MORE_NODES, _MAX_MORE_HEAP, _MAX_MORE_MEMORY = 60, 512 * 1024, 8 * 1024 * 1024


class _Size(NamedTuple):
    """Nodes of the page, bytes of its JavaScript heap, and bytes of the console's process."""

    nodes: int
    heap: int
    memory: int


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A local stack with the console."""
    with Stack(console="read-only") as stack:
        yield stack


@pytest.mark.slow
def test_a_thousand_events_a_second_are_shown_in_constant_memory(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    [console] = [child for child in stack._supervisor.children if child.name == "console"]
    source = tmp_path / "events.jsonl"
    now = datetime.now(UTC).isoformat()
    events = (music_event(number, timestamp=now) for number in range(_RATE * _SECONDS))
    invalid = {"event_type": "unknown"}
    source.write_bytes(lines(event | (invalid if number % 100 == 0 else {}) for number, event in enumerate(events)))
    context = browser.new_context(base_url=stack.url("console"))
    page = context.new_page()
    protocol = context.new_cdp_session(page)
    protocol.send("Performance.enable")
    assert eventually(lambda: answers(stack.ports["console"]))
    page.goto("/flow")
    command = [Path(sys.executable).with_name("sluice"), "publish", "--source", source, "--rate", str(_RATE)]
    environment = {**os.environ, **stack.environment}
    with subprocess.Popen(
        [*command, "--batch-size", "10"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as publisher:
        stored = page.get_by_role("row", name="Events stored")
        _wait(stored.get_by_role("cell").last, _RATE * _SECONDS // 2)
        middle = _size(page, protocol, console.process.pid)
        _wait(stored.get_by_role("cell").last, _RATE * _SECONDS * 9 // 10)
        rate = _number(stored.get_by_role("cell").first)
        end = _size(page, protocol, console.process.pid)
        assert publisher.wait(60) == 0
    assert 0.6 * _RATE < rate < 1.4 * _RATE
    assert end.nodes - middle.nodes <= _MAX_MORE_NODES
    assert end.heap - middle.heap <= _MAX_MORE_HEAP
    assert end.memory - middle.memory <= _MAX_MORE_MEMORY
    expect(stored.get_by_role("cell").last).to_have_text(f"{_RATE * _SECONDS * 99 // 100:,}", timeout=30_000)
    expect(page.get_by_role("row", name="Backlog").get_by_role("cell")).to_have_text("0")
    expect(page.get_by_role("row", name="Dead letters").get_by_role("cell")).to_have_text("0")
    messages = page.get_by_role("region", name="Last messages").get_by_role("row")
    expect(messages).to_have_count(11)
    expect(messages.filter(has_text="9 accepted, 1 rejected").first).to_contain_text("one_of: event_type")
    assert axe.violations(page, axe.install()) == []
    context.close()


def _wait(cell: Locator, least: int) -> None:
    """Wait until a cell has at least a number."""
    assert eventually(lambda: _number(cell) >= least, seconds=60)


def _number(cell: Locator) -> float:
    return float((cell.text_content() or "").replace(",", ""))


def _size(page: Page, protocol: CDPSession, pid: int) -> _Size:
    protocol.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in protocol.send("Performance.getMetrics")["metrics"]}
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert resident is not None
    return _Size(
        page.evaluate("document.querySelectorAll('*').length"), metrics["JSHeapUsedSize"], int(resident[1]) * 1024
    )
