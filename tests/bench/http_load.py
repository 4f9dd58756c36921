"""HTTP load by wrk; a load generator in Python would be slower than the server."""

from __future__ import annotations

import re
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from shared.errors import MissingProgramError
from tests.bench.results import MeasurementError

_SCRIPT = Path(__file__).with_name("http_load.lua")
_OUTCOME = re.compile(rb"answered (\d+) failed (\d+) seconds ([\d.]+)")
_TIMEOUT = 60.0


def find_wrk() -> str:
    """Return the path of wrk; MissingProgramError if it isn't installed."""
    found = shutil.which("wrk")
    if not found:
        raise MissingProgramError(
            "wrk isn't installed; the benchmark needs it for HTTP load. Install it with:\n  apt-get install wrk"
        )
    return found


def post_all(url: str, bodies: Iterable[bytes], *, concurrent: int = 64) -> float:
    """Post every body once, `concurrent` requests at a time.

    Returns:
        Requests per second, from the first request to the last response.

    Raises:
        MeasurementError: not every response has a status of 2xx.
    """
    with tempfile.NamedTemporaryFile() as file:
        count = 0
        for body in bodies:
            file.write(body + b"\n")
            count += 1
        file.flush()
        concurrent = min(concurrent, count)
        command = [
            find_wrk(),
            "-t1",
            f"-c{concurrent}",
            "-d3600s",
            "--timeout=60s",
            "-s",
            _SCRIPT,
            url,
            "--",
            file.name,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                outcome = _first_outcome(process)
            finally:
                process.kill()
    answered, failed, seconds = int(outcome[1]), int(outcome[2]), float(outcome[3])
    if failed or answered != count:
        raise MeasurementError(
            f"{url}: found {answered:,} responses, {failed:,} of them not 2xx, expected {count:,} with 2xx"
        )
    return count / seconds


def _first_outcome(process: subprocess.Popen[bytes]) -> re.Match[bytes]:
    """Wait until the script prints that every request has a response; wrk itself runs until its time is over."""
    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while ready.select(_TIMEOUT):
            piece = process.stdout.read1(4096)  # type: ignore[union-attr]
            output += piece
            if outcome := _OUTCOME.search(output):
                return outcome
            if not piece:
                break
    raise MeasurementError(f"wrk didn't finish: {output.decode(errors='replace')[-500:]}")
