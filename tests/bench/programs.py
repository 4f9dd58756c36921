"""The programs that rows of the benchmark need beside Python.

This module needs only the standard library, so that it can run before anything is installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.local import google_emulators
from shared.errors import MissingProgramError

BEAM_PYTHON = Path(__file__).resolve().parents[2] / "build" / "bench" / "bin" / "python"


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        name: for messages.
        install: the command that installs it.
        find: returns the program, or raises MissingProgramError.
    """

    name: str
    install: str
    find: Callable[[], object]

    def is_installed(self) -> bool:
        """Return whether the program is installed."""
        try:
            self.find()
        except MissingProgramError:
            return False
        return True


def _find_wrk() -> str:
    found = shutil.which("wrk")
    if not found:
        raise MissingProgramError("wrk: found none on the PATH, expected it")
    return found


def _find_beam() -> Path:
    if not BEAM_PYTHON.exists():
        raise MissingProgramError(f"{BEAM_PYTHON}: found no Python, expected the environment of Apache Beam")
    return BEAM_PYTHON


WRK = Program("wrk", "apt-get install wrk", _find_wrk)
BIGTABLE = Program(
    "Google's Bigtable emulator",
    "apt-get install google-cloud-cli-bigtable-emulator, or gcloud components install bigtable",
    google_emulators.find_bigtable,
)
PUBSUB = Program(
    "Google's Pub/Sub emulator",
    "apt-get install google-cloud-cli-pubsub-emulator, or gcloud components install pubsub-emulator",
    google_emulators.find_pubsub,
)
JAVA = Program("Java", "apt-get install default-jre-headless", google_emulators.find_java)
BEAM = Program("Apache Beam in build/bench", "make bench", _find_beam)
