"""Where an export is written: a folder or a bucket. A file is visible when it is complete, and replaced as a whole."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from infra.export.files.folder import Folder
from infra.export.packages import require

BUCKET_SCHEME = "gs://"


class Destination(Protocol):
    """A place of files, which have paths relative to it."""

    def name(self, path: str) -> str:
        """Return the full name of a file."""

    def check(self) -> None:
        """Check that the destination can be used; raise ExportError if not."""

    def new_file(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Return a context manager that yields a file; leaving it normally makes the file visible."""

    def open(self, path: str) -> BinaryIO | None:
        """Return a file for reading; None if there is none."""

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""


def destination(url: str) -> Destination:
    """Return the folder or the bucket of a URL, without any call.

    Raises:
        ExportError: the name of the bucket is missing.
        MissingProgramError: a package isn't installed.
    """
    if not url.startswith(BUCKET_SCHEME):
        return Folder(Path(url))
    require("google.cloud.storage")
    from infra.export.files.bucket import Bucket

    return Bucket.of_url(url)
