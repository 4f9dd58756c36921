"""The environment of Apache Beam; every test of this tier gets the marker `beam`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.samples import ROOT

HERE = Path(__file__).parent
PYTHON = ROOT / "build" / "beam" / "bin" / "python"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.beam)
            item.add_marker(pytest.mark.xdist_group("beam"))  # only one process makes the environment


@pytest.fixture(scope="session", autouse=True)
def beam_python() -> Path:
    """Return the interpreter of Beam's environment; without it tests are skipped, or make it where CI is set."""
    if os.environ.get("CI"):
        subprocess.run(["make", "beam"], cwd=ROOT, check=True)
    elif not PYTHON.exists():
        pytest.skip(f"{PYTHON}: found no environment of Apache Beam; run `make beam`")
    return PYTHON
