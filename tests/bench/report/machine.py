"""The machine of a run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# Decodes a document of a megabyte for a second, and prints how often.
_BUSY = """
import json, time
text = json.dumps([{"id": n, "text": str(n)} for n in range(30_000)])
count, end = 0, time.monotonic() + 1
while time.monotonic() < end:
    json.loads(text)
    count += 1
print(count)
"""
_ROUNDS = 3


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        processor: the name of its processor.
        cores: the number of its cores.
        memory_gib: its memory in GiB; None if unknown.
        system: the name and release of its kernel; empty if unknown.
        parallel: the speed of each of two busy processes, relative to one that runs alone; None if unknown.
    """

    processor: str
    cores: int
    memory_gib: float | None = None
    system: str = ""
    parallel: float | None = None

    def __str__(self) -> str:
        memory = [f"{self.memory_gib:.0f} GiB"] if self.memory_gib else []
        parallel = [f"two busy processes at {self.parallel:.2f} of one's speed each"] if self.parallel else []
        return ", ".join([f"{self.cores} cores ({self.processor})", *memory, *filter(None, [self.system]), *parallel])


def this_machine() -> Machine:
    """Return the machine that runs this process, without the speed of two processes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(_processor(), os.cpu_count() or 1, round(memory, 1), f"{platform.system()} {platform.release()}")


def parallel_speed() -> float:
    """Return the median speed of each of two busy processes, relative to one alone, on an idle machine.

    It is below 1 where both share a core, a cache, or the power of the processor.
    """
    return round(median(sum(_busy(2)) / 2 / _busy(1)[0] for _ in range(_ROUNDS)), 2)


def _busy(processes: int) -> list[int]:
    """Return how often each of some processes does its work in a second, all at once."""
    with ExitStack() as stack:
        command = [sys.executable, "-c", _BUSY]
        running = [stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)) for _ in range(processes)]
        return [int(each.communicate()[0]) for each in running]


def _processor() -> str:
    """Return the model name of the processor; without one, such as on Arm, its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
