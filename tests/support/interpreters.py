"""Python interpreters of this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def find(version: str) -> Path | None:
    """Return a working interpreter of a version such as "3.12"; None if there is none.

    The running interpreter is used if it matches. A command on the path may fail, as pyenv's shims do for versions that
    aren't selected; so pyenv's own folders are searched as well.
    """
    if version == RUNNING:
        return Path(sys.executable)
    command = shutil.which(f"python{version}")
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    return next((path for path in [*([Path(command)] if command else []), *reversed(installed)] if _works(path)), None)


def _works(path: Path) -> bool:
    try:
        subprocess.run([path, "-c", ""], capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
