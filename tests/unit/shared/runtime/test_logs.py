"""Log lines are JSON objects for Cloud Logging; counts and repeated warnings are logged once per interval."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from pytest_mock import MockerFixture

from shared.runtime import logs
from shared.runtime.logs import LogEvent


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("log", "severity"), [(logs.info, "INFO"), (logs.warning, "WARNING"), (logs.error, "ERROR")])
def test_a_line_is_an_object(log: Any, severity: str, capsys: pytest.CaptureFixture[str]) -> None:
    log(LogEvent.DAYS_REQUESTED, "two\nlines \u00e9", message_id="77", count=3)

    assert logged(capsys) == [
        {
            "severity": severity,
            "event": "days_requested",
            "message": "two\nlines \u00e9",
            "message_id": "77",
            "count": 3,
        }
    ]


def test_a_value_that_json_cannot_hold_is_logged_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.info(LogEvent.DAYS_REQUESTED, "read", path=Path("a/b"))

    assert logged(capsys)[0]["path"] == "a/b"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A fake clock; its only element is the time."""
    now = [0.0]
    monkeypatch.setattr("shared.runtime.logs.time.monotonic", lambda: now[0])
    return now


class FakeLoop:
    """A fake event loop: records its timers as (seconds, callback)."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> MagicMock:
        self.timers.append((seconds, callback))
        return MagicMock()


@pytest.fixture
def loop(mocker: MockerFixture) -> FakeLoop:
    loop = FakeLoop()
    mocker.patch("asyncio.get_running_loop", return_value=loop)
    return loop


def test_counts_are_summed_and_logged_once_per_interval(
    clock: list[float], loop: FakeLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = logs.PeriodicCounter(LogEvent.INGEST_SUMMARY, "ingested", interval=5)

    counter.add(Counter(stored=1))
    clock[0] = 2.0
    counter.add(Counter(stored=2))
    counter.add(Counter(stored=3, duplicate=1))
    [(seconds, flush)] = loop.timers
    clock[0] = 5.0
    flush()
    clock[0] = 11.0
    counter.add(Counter(stored=4, rejected=0))

    assert seconds == 3.0
    assert logged(capsys) == [
        {"severity": "INFO", "event": "ingest_summary", "message": "ingested", "stored": 1},
        {"severity": "INFO", "event": "ingest_summary", "message": "ingested", "stored": 5, "duplicate": 1},
        {"severity": "INFO", "event": "ingest_summary", "message": "ingested", "stored": 4},
    ]


def test_a_closed_counter_logs_at_once(clock: list[float], loop: FakeLoop, capsys: pytest.CaptureFixture[str]) -> None:
    counter = logs.PeriodicCounter(LogEvent.INGEST_SUMMARY, "ingested", interval=5)
    counter.add(Counter(stored=1))
    counter.add(Counter(stored=2))

    counter.close()
    counter.add(Counter(stored=3))
    counter.close()

    assert [line["stored"] for line in logged(capsys)] == [1, 2, 3]


def test_logged_counts_are_recorded(clock: list[float], loop: FakeLoop) -> None:
    recorded: list[Counter[str]] = []
    counter = logs.PeriodicCounter(LogEvent.INGEST_SUMMARY, "ingested", record=recorded.append)

    counter.add(Counter(stored=1))
    counter.add(Counter(stored=2))
    counter.flush()

    assert recorded == [Counter(stored=1), Counter(stored=2)]


def test_rejected_events_make_the_line_a_warning(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    counter = logs.PeriodicCounter(LogEvent.INGEST_SUMMARY, "ingested")

    counter.add(Counter(stored=1, rejected=2, type=2))

    assert logged(capsys) == [
        {"severity": "WARNING", "event": "ingest_summary", "message": "ingested", "stored": 1, "rejected": 2, "type": 2}
    ]


def test_repeated_warnings_are_counted_and_logged_once_per_interval(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    log = logs.RateLimitedLog()

    for at in (0.0, 0.3, 0.9, 1.1, 1.2):
        clock[0] = at
        log.warning("outage", LogEvent.MESSAGE_FAILED, f"at {at}")
        log.warning(at, LogEvent.MESSAGE_FAILED, "of another kind")

    warnings = [line for line in logged(capsys) if line["message"] != "of another kind"]
    assert warnings == [
        {"severity": "WARNING", "event": "message_failed", "message": "at 0.0"},
        {"severity": "WARNING", "event": "message_failed", "message": "at 1.1", "left_out": 2},
    ]


def test_every_line_carries_the_labels_of_the_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("my-project", function="ingest", contract="music")
    logs.info(LogEvent.DAYS_REQUESTED, "hello", **logs.trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))

    assert logged(capsys) == [
        {
            "severity": "INFO",
            "event": "days_requested",
            "message": "hello",
            "logging.googleapis.com/trace": "projects/my-project/traces/4bf92f3577b34da6a3ce929d0e0e4736",
            "logging.googleapis.com/spanId": "00f067aa0ba902b7",
            "logging.googleapis.com/trace_sampled": True,
            "logging.googleapis.com/labels": {"function": "ingest", "contract": "music"},
        }
    ]


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", "00-xyz-00f067aa0ba902b7-01", "00-" + "1" * 10_000])
def test_an_invalid_traceparent_adds_no_fields(traceparent: str | None) -> None:
    assert logs.trace(traceparent) == {}
