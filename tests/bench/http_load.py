"""HTTP load by wrk; a load generator in Python would be slower than the server."""

from __future__ import annotations

import re
import selectors
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.results import MeasurementError

_SCRIPT = Path(__file__).with_name("http_load.lua")
_OUTCOME = re.compile(rb"answered (\d+) failed (\d+) from ([\d.]+) to ([\d.]+)")
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class _Load:
    """The number of requests, and the times of the first request and the last response by the monotonic clock."""

    count: int
    started: float
    ended: float


def post_all(url: str, bodies: Iterable[bytes], *, concurrent: int = 64) -> float:
    """Post every body once, `concurrent` requests at a time.

    Returns:
        Requests per second, from the first request to the last response.

    Raises:
        MeasurementError: not every response has a status of 2xx.
    """
    load = _post(url, bodies, concurrent)
    return load.count / (load.ended - load.started)


def post_spread(urls: Sequence[str], bodies: Sequence[bytes], *, concurrent: int) -> float:
    """Post every body once, to several servers, `concurrent` requests at a time to each; else like `post_all`."""
    shares = [bodies[first :: len(urls)] for first in range(len(urls))]
    with ThreadPoolExecutor(len(urls)) as threads:
        loads = list(threads.map(partial(_post, concurrent=concurrent), urls, shares))
    ended, started = max(load.ended for load in loads), min(load.started for load in loads)
    return sum(load.count for load in loads) / (ended - started)


def _post(url: str, bodies: Iterable[bytes], concurrent: int) -> _Load:
    with tempfile.NamedTemporaryFile() as file:
        count = 0
        for body in bodies:
            file.write(body + b"\n")
            count += 1
        file.flush()
        options = ["-t1", f"-c{min(concurrent, count)}", "-d3600s", "--timeout=60s", "-s", _SCRIPT]
        with subprocess.Popen(["wrk", *options, url, "--", file.name], stdout=subprocess.PIPE) as process:
            try:
                outcome = _first_outcome(process)
            finally:
                process.kill()
    answered, failed = int(outcome[1]), int(outcome[2])
    if failed or answered != count:
        raise MeasurementError(
            f"{url}: found {answered:,} responses, {failed:,} of them not 2xx, expected {count:,} with 2xx"
        )
    return _Load(count, float(outcome[3]), float(outcome[4]))


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
