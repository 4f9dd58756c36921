"""Objects of Cloud Storage: their size and age, and reads of byte ranges with Google's client."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from shared.config import Settings
from shared.errors import PermanentError, SettingsError, StoreUnavailableError
from shared.pubsub.load_requests import ObjectVersion

# Bytes of one read. A request takes about 50 ms, in which an instance stores less than a MiB of events.
CHUNK_BYTES = 4 << 20
# Seconds for one read with its retries, and for a response to begin. Google's default is two minutes.
_RETRY_SECONDS, _TIMEOUT_SECONDS = 60.0, 20.0

ReadRange = Callable[[int, int], bytes]


class ObjectMissingError(PermanentError):
    """There is no such generation of the object: it was deleted or overwritten."""


class ObjectInfo(NamedTuple):
    """The size of an object in bytes, and when it was created."""

    size: int
    created: datetime


class StorageObjects:
    """Reads objects; the first call connects. Its methods block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def describe(self, object: ObjectVersion) -> ObjectInfo:
        """Return the size and the age of an object.

        Raises:
            ObjectMissingError: there is none of this generation.
            SettingsError: the caller may not read it.
            StoreUnavailableError: Cloud Storage doesn't answer.
        """
        blob = self._blob(object)
        self._call(object, blob.reload, timeout=_TIMEOUT_SECONDS)
        if int(blob.generation) != object.generation:  # an emulator may ignore the generation of a request
            raise ObjectMissingError(f"{object.uri}: found generation {blob.generation}, expected {object.generation}")
        return ObjectInfo(int(blob.size), blob.time_created)

    def read(self, object: ObjectVersion, start: int, end: int) -> bytes:
        """Return the stored bytes of an object from `start` to `end` (exclusive); raises like `describe`.

        They are read as they are stored, also of an object with `Content-Encoding: gzip`: Cloud Storage ignores ranges
        where it decompresses (https://cloud.google.com/storage/docs/transcoding#range).
        """
        read = self._blob(object).download_as_bytes
        options = {"raw_download": True, "checksum": None, "timeout": _TIMEOUT_SECONDS}
        data: bytes = self._call(object, read, start=start, end=end - 1, **options)
        if len(data) != end - start:
            raise StoreUnavailableError(
                f"{object.uri}: found {len(data):,} bytes, expected {end - start:,} from {start:,}"
            )
        return data

    def _blob(self, object: ObjectVersion) -> Any:
        return self._client.bucket(object.bucket).blob(object.name, generation=object.generation)

    def _call(self, object: ObjectVersion, call: Callable[..., Any], **options: Any) -> Any:
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.cloud.storage.retry import DEFAULT_RETRY
        from requests import RequestException

        try:
            return call(retry=DEFAULT_RETRY.with_timeout(_RETRY_SECONDS), **options)
        except exceptions.NotFound:
            raise ObjectMissingError(
                f"{object.uri}: found no generation {object.generation}; it was deleted or overwritten"
            ) from None
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise SettingsError(
                f"{object.uri}: may not be read ({error.message}), expected the role roles/storage.objectViewer on the "
                "bucket; `sluice deploy` grants it"
            ) from None
        # RequestException is an OSError, which a reader of files would take for damage of the file.
        except (exceptions.RetryError, exceptions.ServerError, exceptions.TooManyRequests) as error:
            raise StoreUnavailableError(f"{object.uri}: Cloud Storage didn't answer in time: {error}") from None
        except (RequestException, TransportError) as error:
            raise StoreUnavailableError(f"{object.uri}: no connection to Cloud Storage: {error}") from None
        except GoogleAuthError as error:
            raise SettingsError(f"credentials of Google Cloud: {error}") from None
        except exceptions.GoogleAPICallError as error:
            raise PermanentError(f"{object.uri}: {error.message}") from None

    @cached_property
    def _client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client  # imports for 1 s

        if address := self._settings.storage_emulator:
            options = {"api_endpoint": address}
            return Client(self._settings.project_id, AnonymousCredentials(), client_options=options)
        try:
            return Client(self._settings.project_id)
        except GoogleAuthError as error:
            raise SettingsError(f"credentials of Google Cloud: {error}") from None


class RangeFile(io.RawIOBase):
    """A file that reads a range of an object in chunks, after bytes that precede it; it can seek without such bytes."""

    def __init__(self, read: ReadRange, start: int, end: int, prefix: bytes = b"") -> None:
        """Open the range.

        Args:
            read: reads bytes of the object.
            start: the first byte.
            end: the end (exclusive).
            prefix: the bytes before those of the range.
        """
        self._read, self._start, self._end = read, start, end
        self._prefix = prefix
        self._chunk = memoryview(prefix)
        self._next = start  # the byte after the chunk

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether the file has nothing but the range."""
        return not self._prefix

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset in the range and return it."""
        if not self.seekable():
            raise io.UnsupportedOperation("seek")
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._next - len(self._chunk), io.SEEK_END: self._end}[whence]
        self._chunk = memoryview(b"")
        self._next = max(base + offset, self._start)
        return self._next - self._start

    def tell(self) -> int:
        """Return the offset in the range."""
        return self._next - len(self._chunk) - self._start

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the current chunk goes; return the number of bytes, 0 at the end."""
        if not self._chunk and self._next < self._end:
            until = min(self._next + CHUNK_BYTES, self._end)
            self._chunk = memoryview(b"")  # released before the next one is read
            self._chunk = memoryview(self._read(self._next, until))
            self._next = until
        size = min(len(buffer), len(self._chunk))
        buffer[:size] = self._chunk[:size]
        self._chunk = self._chunk[size:]
        return size
