"""Starts the emulator of Cloud Storage, and the process that announces new objects."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from infra.local.ports import accepts
from infra.local.supervisor import Supervisor
from shared.errors import MissingProgramError

VARIABLE = "STORAGE_EMULATOR_HOST"
PORT = "storage"

_MODULE = "gcp_storage_emulator"
_ROOT = Path(__file__).resolve().parents[3]


def check_installed() -> None:
    """Raise MissingProgramError if the emulator isn't installed."""
    if find_spec(_MODULE) is None:
        raise MissingProgramError(
            "the emulator of Cloud Storage isn't installed. This installs it:\n"
            "  pip install gcp-storage-emulator google-cloud-storage"
        )


def start(supervisor: Supervisor, port: int, bucket: str, data: Path | None) -> None:
    """Start the emulator with a bucket, without waiting until it answers.

    Args:
        supervisor: ends it.
        port: its port.
        bucket: the name of the bucket.
        data: the folder that keeps the data of the stack; None keeps the objects in memory.
    """
    folder = [f"--data-dir={data.resolve() / 'storage'}"] if data else []
    options = ["-H", "127.0.0.1", "--port", str(port), "--default-bucket", bucket, "--quiet"]
    command = [sys.executable, "-m", _MODULE, *folder, "start", *([] if data else ["--in-memory"]), *options]
    supervisor.start(PORT, command, env=os.environ, cwd=_ROOT)


def start_watcher(supervisor: Supervisor, port: int, bucket: str, environment: Mapping[str, str]) -> None:
    """Wait for the emulator, and start the process that announces new objects as Cloud Storage does.

    The emulator itself sends no notifications.
    """
    supervisor.wait_until(partial(accepts, port), "the emulator of Cloud Storage doesn't answer")
    command = [sys.executable, "-m", "infra.local.storage", bucket]
    supervisor.start("notifications", command, env={**os.environ, **environment}, cwd=_ROOT, wave=2)
