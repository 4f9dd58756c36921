"""The `sluice` command, run in this process through its entry point."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from infra.cli.main import main
from shared.config import EMULATOR_VARIABLES, Settings


class Result(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Sluice = Callable[..., Result]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that a command reads the settings of an instance from."""
    names = {"GCP_PROJECT_ID": settings.project_id, "BIGTABLE_INSTANCE": settings.instance_id}
    return names | {EMULATOR_VARIABLES[service]: address for service, address in settings.emulators.items()}


def command_line(monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Sluice:
    """Return a function that runs the command with arguments and standard input; no command prints a traceback."""

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capture.readouterr()
        assert "Traceback" not in captured.err
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return run
