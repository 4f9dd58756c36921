"""Structured log lines for Cloud Logging: one JSON object per line, on standard output.

`LogEvent` names each kind of line. Alerts, `sluice doctor` and the console match these names, never a message text.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

import msgspec

# Fields that Cloud Logging interprets (https://cloud.google.com/logging/docs/structured-logging).
_LABELS = "logging.googleapis.com/labels"
_TRACE, _SPAN, _SAMPLED = (f"logging.googleapis.com/{name}" for name in ("trace", "spanId", "trace_sampled"))
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
# The older header of Google Cloud, TRACE_ID/SPAN_ID;o=OPTIONS, with a decimal span
# (https://cloud.google.com/trace/docs/trace-context#legacy-http-header).
_CLOUD_CONTEXT = re.compile(r"([0-9a-f]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]))?").fullmatch

_encode = msgspec.json.Encoder(enc_hook=str).encode
_project = ""
_labels: dict[str, str] = {}
# Fields of every line of the running request.
_request_fields: ContextVar[dict[str, Any]] = ContextVar("request_fields")


class LogEvent(StrEnum):
    """The field `event` of a log line; its values are stable."""

    INGEST_SUMMARY = "ingest_summary"
    DAY_AGGREGATED = "day_aggregated"
    LARGE_ROW = "large_row"
    DAYS_REQUESTED = "days_requested"
    JOB_LAUNCHED = "job_launched"
    OBJECT_LOADED = "object_loaded"
    OBJECT_FAILED = "object_failed"
    MESSAGE_FAILED = "message_failed"
    QUERY_FAILED = "query_failed"
    UNEXPECTED_ERROR = "unexpected_error"


def configure(project_id: str, **labels: str) -> None:
    """Set the labels of every line of this process, and the project that its traces belong to."""
    global _project
    _project = project_id
    _labels.update(labels)


def info(event: LogEvent, message: str, **fields: Any) -> None:
    """Log a completed action; `fields` are counts and names, never the content of user events."""
    _write("INFO", event, message, fields)


def warning(event: LogEvent, message: str, **fields: Any) -> None:
    """Log a condition that an operator should check soon."""
    _write("WARNING", event, message, fields)


def error(event: LogEvent, message: str, **fields: Any) -> None:
    """Log a failure."""
    _write("ERROR", event, message, fields)


def trace(traceparent: str | None) -> dict[str, Any]:
    """Return the fields that make a line part of a trace; empty without a valid traceparent.

    Args:
        traceparent: the W3C header, as received.
    """
    found = _TRACEPARENT(traceparent) if traceparent else None
    if not found:
        return {}
    trace_id, span_id, flags = found.groups()
    sampled = bool(int(flags, 16) & 1)
    return {_TRACE: f"projects/{_project}/traces/{trace_id}", _SPAN: span_id, _SAMPLED: sampled}


def request_trace(headers: Iterable[tuple[bytes, bytes]], traceparent: str | None) -> dict[str, Any]:
    """Return the trace fields of a request; the trace of its message is in `message_trace` if it has another one.

    The trace of a line is that of the HTTP request. Cloud Run's request log has the same trace, so the console shows
    the line under its request (https://cloud.google.com/run/docs/logging#correlate-logs).

    Args:
        headers: of the HTTP request, in lower case.
        traceparent: of the message.
    """
    by_name = dict(headers)
    fields = trace(by_name.get(b"traceparent", b"").decode("latin-1"))
    fields = fields or _cloud_trace(by_name.get(b"x-cloud-trace-context", b"").decode("latin-1"))
    of_message = trace(traceparent)
    if not fields or not of_message:
        return fields or of_message
    return {**fields, "message_trace": of_message[_TRACE]}


def add_to_request(fields: dict[str, Any]) -> None:
    """Add fields to every later line of the running request, that is of the current task."""
    _request_fields.set(fields)


def _cloud_trace(header: str) -> dict[str, Any]:
    """Return the fields of a trace in an `X-Cloud-Trace-Context` header; empty if it is invalid."""
    found = _CLOUD_CONTEXT(header)
    if not found:
        return {}
    trace_id, span, options = found.groups()
    span_fields = {_SPAN: f"{int(span):016x}"} if span and 0 < int(span) < 2**64 else {}
    return {_TRACE: f"projects/{_project}/traces/{trace_id}", **span_fields, _SAMPLED: options == "1"}


class PeriodicCounter:
    """Sums counts and logs them at most once per interval.

    A timer logs the last counts of an interval if the instance has CPU at that time. Without CPU between requests,
    the next counts include them; `close` logs them at shutdown.
    """

    def __init__(
        self,
        event: LogEvent,
        message: str,
        interval: float = 5.0,
        *,
        record: Callable[[Counter[str]], None] | None = None,
    ) -> None:
        """Start empty.

        Args:
            event: of the log line.
            message: of the log line.
            interval: seconds between two lines.
            record: also called with the counts of each line.
        """
        self._event = event
        self._message = message
        self._interval = interval
        self._record = record
        self._counts: Counter[str] = Counter()
        self._last = -interval
        self._timer: asyncio.TimerHandle | None = None

    def add(self, counts: Mapping[str, int]) -> None:
        """Add counts; rejected events make the line a warning."""
        for name, count in counts.items():
            self._counts[name] += count
        if self._timer is not None:
            return
        remaining = self._last + self._interval - time.monotonic()
        if remaining <= 0:
            self.flush()
        else:
            self._timer = asyncio.get_running_loop().call_later(remaining, self.flush)

    def close(self) -> None:
        """Log the remaining counts, and every later count at once."""
        self._interval = 0.0
        self.flush()

    def flush(self) -> None:
        """Log the counts since the last line, unless there are none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last = time.monotonic()
        counts, self._counts = +self._counts, Counter()
        if counts:
            (warning if counts["rejected"] else info)(self._event, self._message, **counts)
            if self._record:
                self._record(counts)


class RateLimitedLog:
    """Logs at most one line of a kind per interval, with the number of lines it left out."""

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = interval
        self._last: dict[object, float] = {}
        self._left_out: Counter[object] = Counter()

    def warning(self, kind: object, event: LogEvent, message: str, **fields: Any) -> None:
        """Log a warning, or count it if its kind was logged within the interval."""
        clock = time.monotonic()
        if clock - self._last.get(kind, -self._interval) < self._interval:
            self._left_out[kind] += 1
            return
        self._last[kind] = clock
        left_out = self._left_out.pop(kind, 0)
        warning(event, message, **fields, **({"left_out": left_out} if left_out else {}))


def _write(severity: str, event: LogEvent, message: str, fields: dict[str, Any]) -> None:
    # Not through `logging`: with LOG_EXECUTION_ID set, functions-framework disables the loggers that exist.
    labels = {_LABELS: _labels} if _labels else {}
    of_request = _request_fields.get({})
    line = _encode({"severity": severity, "event": event, "message": message, **of_request, **fields, **labels})
    sys.stdout.write(line.decode("utf-8", "replace") + "\n")
    sys.stdout.flush()
