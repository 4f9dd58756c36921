"""The supported Python versions, and the search for interpreters."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from infra.deploy import runtimes
from tests.support import interpreters
from tests.support.samples import ROOT


def test_supported_pythons_match_the_package_and_ci() -> None:
    [required] = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    [tested] = re.findall(r"python: \[(.*)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))

    assert runtimes.SUPPORTED[0] == required
    assert tested == ", ".join(f'"{version}"' for version in runtimes.SUPPORTED)


def test_the_running_python_is_always_found() -> None:
    assert interpreters.find(interpreters.RUNNING) == Path(sys.executable)


def test_a_command_that_fails_is_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a shim of pyenv for a version that isn't selected."""
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
