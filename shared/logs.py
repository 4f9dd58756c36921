"""Log lines that Cloud Logging understands: one JSON object each, on standard output."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

import msgspec

# https://cloud.google.com/logging/docs/structured-logging: `severity` and `message` are taken out of the object.
_encode = msgspec.json.Encoder(enc_hook=str).encode


def info(message: str, **fields: Any) -> None:
    """Say what was done; `fields` are figures and names, never the content of events."""
    _write("INFO", message, fields)


def warning(message: str, **fields: Any) -> None:
    """Say what someone should look at soon."""
    _write("WARNING", message, fields)


def error(message: str, **fields: Any) -> None:
    """Say what failed."""
    _write("ERROR", message, fields)


class Tally:
    """Adds figures up and logs them at most once in `every` seconds.

    It logs only while something is added, since an instance has no CPU between requests; what comes last is told
    with what comes next.
    """

    def __init__(self, message: str, every: float = 5.0) -> None:
        self._message = message
        self._every = every
        self._counts: Counter[str] = Counter()
        self._last = -every

    def add(self, counts: Counter[str]) -> None:
        """Add figures; rejected events make the line a warning."""
        self._counts += counts
        clock = time.monotonic()
        if clock - self._last >= self._every:
            (warning if self._counts["rejected"] else info)(self._message, **self._counts)
            self._last = clock
            self._counts.clear()


def _write(severity: str, message: str, fields: dict[str, Any]) -> None:
    # Not through `logging`: the functions framework disables the loggers it finds when LOG_EXECUTION_ID is set.
    line = _encode({"severity": severity, "message": message, **fields})
    sys.stdout.write(line.decode("utf-8", "replace") + "\n")
    sys.stdout.flush()
