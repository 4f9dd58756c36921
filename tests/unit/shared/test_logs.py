"""Every log line is one JSON object that Cloud Logging understands, and figures are told at most so often."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shared import logs


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("log", "severity"), [(logs.info, "INFO"), (logs.warning, "WARNING"), (logs.error, "ERROR")])
def test_a_line_is_an_object(log: Any, severity: str, capsys: pytest.CaptureFixture[str]) -> None:
    log("two\nlines \u00e9", message_id="77", count=3)

    assert logged(capsys) == [{"severity": severity, "message": "two\nlines \u00e9", "message_id": "77", "count": 3}]


def test_what_json_does_not_know_is_told_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.info("read", path=Path("a/b"))

    assert logged(capsys)[0]["path"] == "a/b"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands where a test puts it."""
    now = [0.0]
    monkeypatch.setattr("shared.logs.time.monotonic", lambda: now[0])
    return now


def test_figures_are_added_up_and_told_at_most_so_often(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    tally = logs.Tally("taken in", every=5)

    tally.add(Counter(stored=1))
    clock[0] = 4.9
    tally.add(Counter(stored=2))
    clock[0] = 5.0
    tally.add(Counter(stored=3, duplicate=1))
    clock[0] = 11.0
    tally.add(Counter(stored=4, rejected=0))

    assert logged(capsys) == [
        {"severity": "INFO", "message": "taken in", "stored": 1},
        {"severity": "INFO", "message": "taken in", "stored": 5, "duplicate": 1},
        {"severity": "INFO", "message": "taken in", "stored": 4},
    ]


def test_rejected_events_make_it_a_warning(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    tally = logs.Tally("taken in")

    tally.add(Counter(stored=1, rejected=2, type=2))

    assert logged(capsys) == [{"severity": "WARNING", "message": "taken in", "stored": 1, "rejected": 2, "type": 2}]
