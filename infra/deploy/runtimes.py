"""The Pythons that bundles are promised to run under, and where they are on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

# The newest that Cloud Run functions offer of those that all our requirements have wheels for, and supported longest:
# until October 2029, https://cloud.google.com/functions/docs/runtime-support.
DEPLOYED = "3.13"
# requires-python of pyproject.toml is the first of them.
PROMISED = ("3.11", "3.12", DEPLOYED)
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def find(version: str) -> Path | None:
    """Return an interpreter of a version such as "3.12" that starts; None if there is none.

    The running one is taken where it fits. A command that is there may still not start, as pyenv's shims don't for
    versions that aren't chosen; so pyenv's own folders are looked through as well.
    """
    if version == RUNNING:
        return Path(sys.executable)
    found = shutil.which(f"python{version}")
    folders = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    return next((path for path in [*([Path(found)] if found else []), *reversed(folders)] if _starts(path)), None)


def _starts(path: Path) -> bool:
    try:
        subprocess.run([path, "-c", ""], capture_output=True, timeout=30, check=True)  # noqa: S603 - a Python of this user's
    except (OSError, subprocess.SubprocessError):
        return False
    return True
