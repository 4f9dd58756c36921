"""Helpers for tests that start processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.local.ports import free_ports
from infra.local.supervisor import Child, Supervisor

# Prefix of a command that sends or expects signals. A test run may ignore or block them: `nohup` ignores SIGHUP, and a
# shell ignores SIGINT for a background job. Children inherit both across exec.
DEFAULT_SIGNALS = (
    sys.executable,
    "-S",
    "-c",
    "import os, signal, sys\n"
    "for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):\n"
    "    signal.signal(number, signal.SIG_DFL)\n"
    "signal.pthread_sigmask(signal.SIG_SETMASK, ())\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)


@contextlib.contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command with default signal dispositions, and kill its process group when the block ends."""
    process = subprocess.Popen([*DEFAULT_SIGNALS, *command], text=True, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def free_port() -> int:
    """Return a port that is free at this moment."""
    return free_ports(1)[0]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Return whether a condition holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def end_child(supervisor: Supervisor, child: Child) -> None:
    """End one process of a supervisor, which then no longer expects it to run."""
    supervisor.children.remove(child)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(10)
