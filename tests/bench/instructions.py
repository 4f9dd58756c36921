"""Count the instructions of an event in each stage of its path, by valgrind: `python -m tests.bench.instructions`.

Unlike a time, a count doesn't depend on what else the machine does. It leaves out what the processor waits for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

from tests.bench.results import MeasurementError
from tests.bench.stages import STAGES

# The difference of two runs leaves out the start and the preparation.
_FEW, _MANY = 2_000, 12_000
_TOTAL = re.compile(r"I\s+refs:\s+([\d,]+)")


def instructions(stage: str) -> int:
    """Return the instructions of an event in a stage.

    Raises:
        MeasurementError: valgrind is missing, or the stage failed.
    """
    return (_count(stage, _MANY) - _count(stage, _FEW)) // (_MANY - _FEW)


def _count(stage: str, events: int) -> int:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise MeasurementError("valgrind: not found; it is in the package valgrind of Debian")
    options = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    ran = subprocess.run(
        [valgrind, *options, sys.executable, "-m", "tests.bench.stages", stage, str(events)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    found = _TOTAL.search(ran.stderr)
    if ran.returncode or not found:
        raise MeasurementError(f"{stage}: exit code {ran.returncode}: {ran.stderr[-500:]}")
    return int(found[1].replace(",", ""))


if __name__ == "__main__":
    try:
        for each in STAGES:
            print(f"{each}: {instructions(each):,} instructions an event", flush=True)
    except MeasurementError as error:
        sys.exit(f"instructions: {error}")
