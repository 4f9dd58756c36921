"""The machine of a run."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        processor: the name of its processor.
        cores: the number of its cores.
        memory_gib: its memory in GiB; None if unknown.
        system: the name and release of its kernel; empty if unknown.
    """

    processor: str
    cores: int
    memory_gib: float | None = None
    system: str = ""

    def __str__(self) -> str:
        memory = [f"{self.memory_gib:.0f} GiB"] if self.memory_gib else []
        return ", ".join([f"{self.cores} cores ({self.processor})", *memory, *filter(None, [self.system])])


def this_machine() -> Machine:
    """Return the machine that runs this process."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(_processor(), os.cpu_count() or 1, round(memory, 1), f"{platform.system()} {platform.release()}")


def _processor() -> str:
    """Return the model name of the processor; without one, such as on Arm, its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
