"""Reads of objects: what each error means, and the file over a range."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, TransportError
from requests import ConnectionError as NoConnectionError

from shared.config import Settings
from shared.errors import PermanentError, SettingsError, StoreUnavailableError
from shared.load import objects
from shared.load.objects import ObjectMissingError, RangeFile, StorageObjects
from shared.pubsub.load_requests import ObjectVersion

OBJECT = ObjectVersion("my-drops", "events.csv", 7)
CONTENT = bytes(range(256)) * 4


class FakeBlob:
    """Fails like Google's client, or returns other bytes than were asked for."""

    generation = "7"

    def __init__(self, answer: Exception | bytes) -> None:
        self._answer = answer

    def download_as_bytes(self, **_: Any) -> bytes:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | bytes], StorageObjects]:
    def make(answer: Exception | bytes) -> StorageObjects:
        monkeypatch.setattr(StorageObjects, "_blob", lambda self, object: FakeBlob(answer))
        return StorageObjects(Settings("p", "i"))

    return make


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (exceptions.NotFound("no such object"), ObjectMissingError, "found no generation 7; it was deleted or"),
        (exceptions.Forbidden("denied"), SettingsError, "expected the role roles/storage.objectViewer on the bucket"),
        (exceptions.Unauthorized("who?"), SettingsError, "may not be read (who?)"),
        (exceptions.ServiceUnavailable("busy"), StoreUnavailableError, "Cloud Storage didn't answer in time"),
        (exceptions.TooManyRequests("slow down"), StoreUnavailableError, "Cloud Storage didn't answer in time"),
        (exceptions.RetryError("timeout", None), StoreUnavailableError, "Cloud Storage didn't answer in time"),
        (NoConnectionError("reset"), StoreUnavailableError, "no connection to Cloud Storage: reset"),
        (TransportError("reset"), StoreUnavailableError, "no connection to Cloud Storage: reset"),
        (DefaultCredentialsError("none"), SettingsError, "credentials of Google Cloud: none"),
        (exceptions.BadRequest("user project missing"), PermanentError, "gs://my-drops/events.csv: user project"),
        (b"short", StoreUnavailableError, "found 5 bytes, expected 10 from 0"),
    ],
)
def test_each_error_of_the_client_has_a_meaning(
    answering: Callable[[Exception | bytes], StorageObjects], error: Exception | bytes, kind: type, text: str
) -> None:
    with pytest.raises(kind) as raised:
        answering(error).read(OBJECT, 0, 10)

    assert type(raised.value) is kind
    assert text in str(raised.value)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "CHUNK_BYTES", 100)


@pytest.mark.usefixtures("small_chunks")
def test_a_range_is_read_in_chunks_after_its_prefix() -> None:
    reads: list[tuple[int, int]] = []

    def read(start: int, end: int) -> bytes:
        reads.append((start, end))
        return CONTENT[start:end]

    file = io.BufferedReader(RangeFile(read, 50, 370, b"header\n"), 64)

    assert file.read() == b"header\n" + CONTENT[50:370]
    assert reads == [(50, 150), (150, 250), (250, 350), (350, 370)]


@pytest.mark.usefixtures("small_chunks")
def test_a_file_with_an_index_at_its_end_is_read_by_seeking() -> None:
    file = RangeFile(lambda start, end: CONTENT[start:end], 0, len(CONTENT))

    assert file.seekable()
    assert (file.seek(-4, io.SEEK_END), file.read(10)) == (len(CONTENT) - 4, CONTENT[-4:])
    assert (file.seek(300), file.read(3), file.tell()) == (300, CONTENT[300:303], 303)
    assert (file.seek(2, io.SEEK_CUR), file.read(1)) == (305, CONTENT[305:306])
    assert (file.seek(len(CONTENT) + 9), file.read(1)) == (len(CONTENT) + 9, b"")
    prefixed = RangeFile(lambda start, end: CONTENT[start:end], 0, 10, b"header\n")
    with pytest.raises(io.UnsupportedOperation):
        prefixed.seek(0)
