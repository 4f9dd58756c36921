"""An emulator of Cloud Storage in this process, and uploads with Google's client."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gcp_storage_emulator.server import create_server
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from shared.pubsub.load_requests import ObjectVersion
from tests.support.processes import free_port


@contextmanager
def running_storage() -> Iterator[str]:
    """Run an emulator of Cloud Storage in memory; yield its URL."""
    port = free_port()
    with create_server("127.0.0.1", port, in_memory=True):
        yield f"http://127.0.0.1:{port}"


class Bucket:
    """A bucket of its own, with Google's client."""

    def __init__(self, url: str) -> None:
        self._client = Client("project", AnonymousCredentials(), client_options={"api_endpoint": url})
        self._bucket: Any = self._client.create_bucket(f"bucket-{uuid.uuid4().hex[:12]}")
        self.name: str = self._bucket.name

    def upload(self, name: str, data: bytes, **metadata: str) -> ObjectVersion:
        """Write an object with metadata such as `content_encoding`."""
        blob = self._bucket.blob(name)
        for key, value in metadata.items():
            setattr(blob, key, value)
        blob.upload_from_string(data)
        return ObjectVersion(self.name, name, int(blob.generation))

    def created(self, name: str) -> Any:
        """Return when an object was created."""
        return self._bucket.get_blob(name).time_created

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._bucket.blob(name).delete()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
