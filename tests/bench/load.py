"""HTTP load from wrk: a generator in Python would be what is measured."""

from __future__ import annotations

import re
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from shared.errors import MissingProgramError
from tests.bench.results import Wrong

_SCRIPT = Path(__file__).with_name("load.lua")
_OUTCOME = re.compile(rb"answered (\d+) failed (\d+) seconds ([\d.]+)")
_LONGEST = 60.0


def find_wrk() -> str:
    """Return the load generator; MissingProgramError, with the command that installs it, if there is none."""
    found = shutil.which("wrk")
    if not found:
        raise MissingProgramError(
            "wrk isn't installed, which makes the HTTP load. This installs it:\n  apt-get install wrk"
        )
    return found


def post_all(url: str, bodies: Iterable[bytes], *, concurrent: int = 64) -> float:
    """Post every body once, so many at a time.

    Returns:
        Requests a second, from the first that was sent to the last that was answered.

    Raises:
        Wrong: not every one was answered with 2xx.
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
        raise Wrong(f"{url}: of {count:,} requests {answered:,} were answered, {failed:,} of them not with 2xx")
    return count / seconds


def _first_outcome(process: subprocess.Popen[bytes]) -> re.Match[bytes]:
    """Wait until wrk says that everything is answered; by itself it goes on until its time is over."""
    assert process.stdout is not None
    said = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while ready.select(_LONGEST):
            piece = process.stdout.read1(4096)  # type: ignore[union-attr]
            said += piece
            if outcome := _OUTCOME.search(said):
                return outcome
            if not piece:
                break
    raise Wrong(f"wrk didn't come to an end: {said.decode(errors='replace')[-500:]}")
