"""Which files this process has open."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def open_files(folder: Path) -> list[Path]:
    """Return the files below a folder that this process has open, once for each file descriptor."""
    found = []
    for descriptor in [*Path("/proc/self/fd").iterdir()]:
        with suppress(FileNotFoundError):  # the descriptor of the iteration itself
            found.append(descriptor.readlink())
    return [path for path in found if path.is_relative_to(folder.resolve())]
