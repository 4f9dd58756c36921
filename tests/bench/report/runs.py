"""The recorded runs of the benchmark, one JSON file each in tests/bench/runs."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from tests.bench.report.machine import Machine
from tests.bench.results import Result

FOLDER = Path(__file__).resolve().parents[1] / "runs"
# Machines that are kept on the page.
_MAX_MACHINES = 4
_PACKAGES = (
    "functions-framework",
    "google-cloud-bigtable",
    "google-cloud-pubsub",
    "grpcio",
    "protobuf",
    "msgspec",
    "uvloop",
)
_EMULATORS = ("Google Cloud SDK", "bigtable", "pubsub-emulator")


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run of the benchmark on one machine.

    Attributes:
        date: the day of the run.
        machine: the machine.
        rows: the results by number.
        minutes: its duration; None if unknown.
        versions: of Python, packages and emulators; empty if unknown.
        note: why the record is partial; empty for a whole run.
    """

    date: date
    machine: Machine
    rows: dict[int, Result]
    minutes: float | None = None
    versions: str = ""
    note: str = ""

    @property
    def path(self) -> Path:
        """The file of the run."""
        processor = re.sub(r"[^a-z0-9]+", "-", self.machine.processor.lower()).strip("-")
        return FOLDER / f"{self.date}-{processor}-{self.machine.cores}-cores.json"

    def as_json(self) -> bytes:
        """Return the run as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


def of_machine(machine: Machine, results: Mapping[int, Result], minutes: float) -> Run:
    """Return the run that ends now."""
    today = datetime.now(UTC).date()
    return Run(date=today, machine=machine, rows=dict(results), minutes=round(minutes, 1), versions=_versions())


def load(folder: Path = FOLDER) -> list[Run]:
    """Return the newest run of each machine, whole runs first, then the newest first."""
    runs = [msgspec.json.decode(path.read_bytes(), type=Run) for path in folder.glob("*.json")]
    runs.sort(key=lambda run: (not run.note, run.date), reverse=True)
    newest: dict[tuple[str, int, str], Run] = {}
    for run in runs:
        # Of virtual machines with the same processor, the release of the kernel distinguishes hosts.
        newest.setdefault((run.machine.processor, run.machine.cores, run.machine.system), run)
    return list(newest.values())[:_MAX_MACHINES]


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}; {_emulators()}"


def _emulators() -> str:
    """Return the versions of Google's emulators that gcloud reports."""
    try:
        output = subprocess.run(
            ["gcloud", "version", "--format=json"], capture_output=True, text=True, check=True
        ).stdout
        components = json.loads(output)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return "emulators of unknown version"
    return ", ".join(f"{name} {components[name]}" for name in _EMULATORS if components.get(name))
