"""Log lines are JSON objects for Cloud Logging; counts and repeated warnings are logged once per interval."""

from __future__ import annotations

import asyncio
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


REQUEST, MESSAGE = "00-" + "a" * 32 + "-00f067aa0ba902b7-01", "00-" + "b" * 32 + "-00f067aa0ba902b7-00"
CLOUD = f"{'c' * 32}/10;o=1"
OF_REQUEST = {
    "logging.googleapis.com/trace": f"projects/my-project/traces/{'a' * 32}",
    "logging.googleapis.com/spanId": "00f067aa0ba902b7",
    "logging.googleapis.com/trace_sampled": True,
}
OF_CLOUD = {
    "logging.googleapis.com/trace": f"projects/my-project/traces/{'c' * 32}",
    "logging.googleapis.com/spanId": "000000000000000a",
    "logging.googleapis.com/trace_sampled": True,
}
OF_MESSAGE = {
    "logging.googleapis.com/trace": f"projects/my-project/traces/{'b' * 32}",
    "logging.googleapis.com/spanId": "00f067aa0ba902b7",
    "logging.googleapis.com/trace_sampled": False,
}
MESSAGE_TRACE = {"message_trace": f"projects/my-project/traces/{'b' * 32}"}


@pytest.mark.parametrize(
    ("headers", "message", "expected"),
    [
        ({"traceparent": REQUEST}, None, OF_REQUEST),
        ({"traceparent": REQUEST}, MESSAGE, OF_REQUEST | MESSAGE_TRACE),
        ({"traceparent": REQUEST, "x-cloud-trace-context": CLOUD}, None, OF_REQUEST),
        ({"traceparent": "nonsense", "x-cloud-trace-context": CLOUD}, None, OF_CLOUD),
        ({"x-cloud-trace-context": CLOUD}, MESSAGE, OF_CLOUD | MESSAGE_TRACE),
        ({}, MESSAGE, OF_MESSAGE),
        ({"traceparent": "nonsense", "x-cloud-trace-context": "/;o=1"}, MESSAGE, OF_MESSAGE),
        ({"traceparent": "\xff" * 99, "x-cloud-trace-context": "c" * 33}, "nonsense", {}),
        ({}, None, {}),
    ],
)
def test_a_line_has_the_trace_of_the_request_before_that_of_the_message(
    headers: dict[str, str], message: str | None, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_project", "my-project")

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    assert logs.request_trace(raw, message) == expected


@pytest.mark.parametrize("span", ["", "/0", f"/{2**64}"])
def test_a_trace_without_a_valid_span_has_none(span: str) -> None:
    fields = logs.request_trace([(b"x-cloud-trace-context", ("c" * 32 + span).encode())], None)

    assert set(fields) == {"logging.googleapis.com/trace", "logging.googleapis.com/trace_sampled"}


async def test_fields_of_a_request_are_in_its_own_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    async def serve(day: str) -> None:
        logs.add_to_request({"request": day})
        await asyncio.sleep(0)
        logs.info(LogEvent.DAY_AGGREGATED, "hello", day=day)

    await asyncio.gather(asyncio.create_task(serve("a")), asyncio.create_task(serve("b")))
    logs.info(LogEvent.DAY_AGGREGATED, "hello", day="c")

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["day"], line.get("request")) for line in lines] == [("a", "a"), ("b", "b"), ("c", None)]
