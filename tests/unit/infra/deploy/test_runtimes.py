"""Which Pythons are promised, and where they are found."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from infra.deploy import runtimes
from tests.support import interpreters
from tests.support.samples import ROOT


def test_what_is_promised_begins_with_what_the_package_requires_and_is_what_ci_runs() -> None:
    [required] = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    [run] = re.findall(r"python: \[(.*)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))

    assert runtimes.SUPPORTED[0] == required
    assert run == ", ".join(f'"{version}"' for version in runtimes.SUPPORTED)


def test_the_running_python_is_always_found() -> None:
    assert interpreters.find(interpreters.RUNNING) == Path(sys.executable)


def test_a_command_that_doesnt_start_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shim of pyenv for a version that isn't chosen: it is there, and fails."""
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert interpreters.find("3.99") is None

    real = tmp_path / ".pyenv" / "versions" / "3.99.1" / "bin" / "python3.99"
    real.parent.mkdir(parents=True)
    real.write_text("#!/bin/sh\nexit 0\n")
    real.chmod(0o755)
    assert interpreters.find("3.99") == real
