"""The table of ratios, for a terminal and as docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from tests.bench.results import Result
from tests.bench.rows import ROWS

_PACKAGES = (
    "functions-framework",
    "google-cloud-bigtable",
    "google-cloud-pubsub",
    "grpcio",
    "protobuf",
    "msgspec",
    "uvloop",
)


def table(results: Mapping[int, Result]) -> Table:
    """Return the table for a terminal."""
    made = Table("#", "work", "value", "ratios", "others", "met", title="Measured side by side", title_justify="left")
    for number, result in results.items():
        made.add_row(str(number), *_cells(number, result, "\n"))
    return made


def outcome(result: Result) -> str:
    """Return one line that says what came out."""
    ratios = ", ".join(_ratios(result))
    return f"{figure(result.value)} {result.unit}; {ratios}{'' if result.target_met else ' — not met'}"


def markdown(results: Mapping[int, Result], minutes: float) -> str:
    """Return the page."""
    head = [
        INTRODUCTION,
        f"{datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes, {machine()}.",
        f"Python {platform.python_version()}, {_packages()}; {_emulators()}.",
        "",
        "| # | work | this project | ratios | others | met |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = [f"| {number} | {' | '.join(_cells(number, result, '<br>'))} |" for number, result in results.items()]
    how = ["", "## How each row is measured", "", *(f"{number}. {result.how}." for number, result in results.items())]
    return "\n".join([*head, *rows, *how, "", ALTERNATIVES])


INTRODUCTION = """# Benchmarks

`make bench` measures this project beside the alternatives, in one run on one machine, and writes this page. Ratios
are comparable between machines; absolute values aren't. What a run stored is read back and counted; a run that lost
or duplicated an event has no result.
"""

ALTERNATIVES = """## Alternatives

- **A** is a function written by hand (`tests/bench/peers/by_hand`): functions-framework, `json.loads`, and a row and a
  `row.commit()` for each event.
- **B** is Google's clients at their best: the async data client and its mutations batcher, `read_rows` for measures.
- **C** is Apache Beam in Python on its local runner: WriteToBigTable, and CombinePerKey for measures.
- **Limits** are the most that the platform allows: a function that does nothing (no-op), MutateRows calls with prebuilt
  bytes, ReadRows responses that aren't parsed.
"""


def _cells(number: int, result: Result, line: str) -> list[str]:
    others = line.join(f"{name} {figure(value)}" for name, value in result.figures.items())
    return [
        ROWS[number].work,
        f"{figure(result.value)} {result.unit}",
        line.join(_ratios(result)),
        others,
        "yes" if result.target_met else "**no**",
    ]


def _ratios(result: Result) -> list[str]:
    return [f"{name} {figure(ratio)} ({result.targets[name]})" for name, ratio in result.ratios.items()]


def figure(value: float) -> str:
    """Return a figure with three digits or so."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in _PACKAGES)


def machine() -> str:
    """Return the cores, the processor, the memory and the kernel of this machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()} {platform.release()}"


def _emulators() -> str:
    try:
        said = subprocess.run(["gcloud", "version", "--format=json"], capture_output=True, text=True, check=True).stdout
        parts = json.loads(said)
        return ", ".join(
            f"{name} {parts[name]}" for name in ("Google Cloud SDK", "bigtable", "pubsub-emulator") if parts.get(name)
        )
    except (OSError, subprocess.CalledProcessError, ValueError):
        return "emulators of the Google Cloud CLI"
