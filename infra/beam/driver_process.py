"""Start the driver of a Beam job in the environment of Beam, and read its results."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from shared.config import EMULATOR_VARIABLES, Settings
from shared.errors import JobError, MissingProgramError

END_WITH_INPUT = "--end-with-input"

_ROOT = Path(__file__).resolve().parents[2]
PYTHON = _ROOT / "build" / "beam" / "bin" / "python"
_LOG_TAIL_LINES = 20


def results(module: str, flags: Sequence[str], settings: Settings) -> Iterator[Any]:
    """Start a driver and yield its results as they come. Its processes end with the generator.

    Args:
        module: the driver, in this package.
        flags: its own and Beam's.
        settings: of the driver.

    Raises:
        MissingProgramError: the environment of Beam is missing.
        JobError: the job failed.
    """
    if not PYTHON.exists():
        raise MissingProgramError(f"{PYTHON}: found no environment of Apache Beam, expected one; run `make beam`")
    command = [str(PYTHON), "-m", f"infra.beam.{module}", END_WITH_INPUT, *flags]
    # The workers of the local runner inherit the variables, and import the same code.
    # glibc keeps freed memory in as many arenas as threads need: two save a tenth of a worker's memory.
    variables = {"MALLOC_ARENA_MAX": "2", **os.environ, **variables_of(settings), "PYTHONPATH": str(_ROOT)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - the program is ours
            command,
            cwd=_ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield from _results(process, log)
        finally:
            _end(process)


def variables_of(settings: Settings) -> dict[str, str]:
    """Return the environment variables of the settings that options of a command override."""
    variables = {
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "SLUICE_NAME": settings.name,
        "SLUICE_CONTRACT": str(settings.contract.resolve()),
    }
    if settings.bigtable_emulator:
        variables[EMULATOR_VARIABLES["bigtable"]] = settings.bigtable_emulator
    return variables


def _results(process: subprocess.Popen[bytes], log: IO[bytes]) -> Iterator[Any]:
    for line in process.stdout or ():
        message = msgspec.json.decode(line)
        if "error" in message:
            raise JobError(message["error"])
        yield message["result"]
    if code := process.wait():
        log.seek(0)
        tail = b"\n".join(log.read().splitlines()[-_LOG_TAIL_LINES:]).decode("utf-8", "replace")
        raise JobError(f"the driver ended with exit code {code}; its log ends with:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the driver and its workers, which are in its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
