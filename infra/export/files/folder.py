"""A folder of this machine as the destination of an export."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from shared.errors import ExportError


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def name(self, path: str) -> str:
        """Return the path of a file."""
        return str(self._root / path)

    def check(self) -> None:
        """Make the folder, and check that it can be written."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExportError(f"{self._root}: can't be written: {error.strerror}") from None
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise ExportError(f"{self._root}: can't be written: Permission denied")

    @contextmanager
    def new_file(self, path: str) -> Iterator[BinaryIO]:
        """Yield a temporary file, which is renamed at the end."""
        target = self._root / path
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(target)
            with temporary.open("xb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(target)
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
                target.parent.rmdir()  # only if it is empty
            if isinstance(error, OSError):
                raise ExportError(f"{target}: can't be written: {error.strerror or error}") from None
            raise

    def open(self, path: str) -> BinaryIO | None:
        """Return a file for reading; None if there is none."""
        try:
            return (self._root / path).open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ExportError(f"{self._root / path}: can't be read: {error.strerror}") from None

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return (self._root / path).stat().st_size


def _remove_leftovers(target: Path) -> None:
    """Delete the temporary files of exports that were killed; a running export holds a lock on its own."""
    for leftover in target.parent.glob(f".{target.name}.*"):
        with suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()
