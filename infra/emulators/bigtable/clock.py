"""The server's time."""

from __future__ import annotations

import time


def server_time() -> int:
    """Return the current time in microseconds, of whole milliseconds."""
    return time.time_ns() // 1_000_000 * 1000
