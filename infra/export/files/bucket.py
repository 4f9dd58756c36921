"""A bucket of Cloud Storage as the destination of an export.

An object is visible when its upload is finished, and replaces an earlier one as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse
from requests.exceptions import RequestException

from shared.errors import ExportError

SCHEME = "gs://"
# Bytes that are sent at once, a multiple of 256 KiB (https://cloud.google.com/storage/docs/resumable-uploads).
_CHUNK_BYTES = 8 * 1024 * 1024
_ERRORS = (GoogleAPIError, GoogleAuthError, InvalidResponse, RequestException)


class Bucket:
    """A folder of a bucket, reached with the credentials of the environment, or at `STORAGE_EMULATOR_HOST`."""

    def __init__(self, bucket: str, folder: str) -> None:
        self._bucket_name = bucket
        self._folder = f"{folder}/" if folder else ""
        self._opened: storage.Bucket | None = None

    @classmethod
    def of_url(cls, url: str) -> Bucket:
        """Return the folder of a URL gs://BUCKET[/FOLDER].

        Raises:
            ExportError: the bucket is missing.
        """
        bucket, _, folder = url.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise ExportError(f"found {url!r}, expected gs://BUCKET[/FOLDER]")
        return cls(bucket, folder.strip("/"))

    def name(self, path: str) -> str:
        """Return the URL of a file."""
        return f"{SCHEME}{self._bucket_name}/{self._folder}{path}"

    def check(self) -> None:
        """Check that the bucket exists and its objects can be listed."""
        with self._translated(""):
            list(self._bucket().list_blobs(max_results=1, prefix=self._folder))

    @contextmanager
    def new_file(self, path: str) -> Iterator[BinaryIO]:
        """Yield a file whose upload is finished at the end."""
        with self._translated(path):
            file = self._blob(path).open("wb", chunk_size=_CHUNK_BYTES, ignore_flush=True)
            try:
                yield cast(BinaryIO, file)
                file.close()
            except BaseException:
                with suppress(*_ERRORS):
                    file.terminate()
                raise

    def open(self, path: str) -> BinaryIO | None:
        """Return a file for reading; None if there is none."""
        with self._translated(path):
            blob = self._bucket().get_blob(self._folder + path)
            return None if blob is None else cast(BinaryIO, blob.open("rb"))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        with self._translated(path):
            blob = self._blob(path)
            blob.reload()
            return int(blob.size)

    def _blob(self, path: str) -> Any:
        return self._bucket().blob(self._folder + path)

    def _bucket(self) -> Any:
        if self._opened is None:
            # The project is only needed to create buckets; without one the client would look for it on the network.
            self._opened = storage.Client(project="unused").bucket(self._bucket_name)
        return self._opened

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Raise errors of Cloud Storage as ExportErrors that name the file."""
        try:
            yield
        except NotFound:
            raise ExportError(f"{SCHEME}{self._bucket_name}: found no such bucket") from None
        except _ERRORS as error:
            raise ExportError(f"{self.name(path)}: {' '.join(str(error).split())}") from None
