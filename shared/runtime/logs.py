"""Log lines that Cloud Logging understands: one JSON object each, on standard output."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

# https://cloud.google.com/logging/docs/structured-logging says which names are taken out of the object.
_LABELS = "logging.googleapis.com/labels"
_TRACE, _SPAN, _SAMPLED = (f"logging.googleapis.com/{name}" for name in ("trace", "spanId", "trace_sampled"))
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch

_encode = msgspec.json.Encoder(enc_hook=str).encode
_project = ""
_labels: dict[str, str] = {}


def configure(project_id: str, **labels: str) -> None:
    """Say once what every line of this process carries: labels, and the project that traces belong to."""
    global _project
    _project = project_id
    _labels.update(labels)


def info(message: str, **fields: Any) -> None:
    """Say what was done; `fields` are figures and names, never the content of events."""
    _write("INFO", message, fields)


def warning(message: str, **fields: Any) -> None:
    """Say what someone should look at soon."""
    _write("WARNING", message, fields)


def error(message: str, **fields: Any) -> None:
    """Say what failed."""
    _write("ERROR", message, fields)


def trace(traceparent: str | None) -> dict[str, Any]:
    """Return the fields that make a line part of a trace; none without one.

    Args:
        traceparent: W3C's, as it came.
    """
    found = _TRACEPARENT(traceparent) if traceparent else None
    if not found:
        return {}
    trace_id, span_id, flags = found.groups()
    sampled = bool(int(flags, 16) & 1)
    return {_TRACE: f"projects/{_project}/traces/{trace_id}", _SPAN: span_id, _SAMPLED: sampled}


class PeriodicCounter:
    """Adds figures up and logs them at most once in so many seconds.

    What comes last is told after that time too, if the instance has CPU then; if it has none between requests, it is
    told with what comes next, or when the instance is asked to end.
    """

    def __init__(
        self, message: str, every: float = 5.0, *, record: Callable[[Counter[str]], None] | None = None
    ) -> None:
        """Begin at nothing; `record` is given the figures of each line too."""
        self._message = message
        self._every = every
        self._record = record
        self._counts: Counter[str] = Counter()
        self._last = -every
        self._timer: asyncio.TimerHandle | None = None

    def add(self, counts: Mapping[str, int]) -> None:
        """Add figures; rejected events make the line a warning."""
        for name, count in counts.items():
            self._counts[name] += count
        if self._timer is not None:
            return
        left = self._last + self._every - time.monotonic()
        if left <= 0:
            self.tell()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self.tell)

    def end(self) -> None:
        """Tell what is left, and from now on everything at once."""
        self._every = 0.0
        self.tell()

    def tell(self) -> None:
        """Log what has come together, if anything has."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last = time.monotonic()
        counts, self._counts = +self._counts, Counter()
        if counts:
            (warning if counts["rejected"] else info)(self._message, **counts)
            if self._record:
                self._record(counts)


class RateLimitedLog:
    """Logs the first of many like lines at once, and then at most one a second, with how many were left out."""

    def __init__(self, every: float = 1.0) -> None:
        self._every = every
        self._last: dict[object, float] = {}
        self._left_out: Counter[object] = Counter()

    def warning(self, kind: object, message: str, **fields: Any) -> None:
        """Log a warning of some kind, or count it."""
        clock = time.monotonic()
        if clock - self._last.get(kind, -self._every) < self._every:
            self._left_out[kind] += 1
            return
        self._last[kind] = clock
        left_out = self._left_out.pop(kind, 0)
        warning(message, **fields, **({"left_out": left_out} if left_out else {}))


def _write(severity: str, message: str, fields: dict[str, Any]) -> None:
    # Not through `logging`: the functions framework disables the loggers it finds when LOG_EXECUTION_ID is set.
    line = _encode({"severity": severity, "message": message, **fields, **({_LABELS: _labels} if _labels else {})})
    sys.stdout.write(line.decode("utf-8", "replace") + "\n")
    sys.stdout.flush()
