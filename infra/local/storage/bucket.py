"""The bucket of a local stack, listed with Google's client."""

from __future__ import annotations

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from shared.config import Settings
from shared.pubsub.load_requests import ObjectVersion


class Bucket:
    """A bucket in an emulator of Cloud Storage."""

    def __init__(self, settings: Settings, name: str) -> None:
        options = {"api_endpoint": settings.storage_emulator}
        self._client = Client(settings.project_id, AnonymousCredentials(), client_options=options)
        self._name = name

    def objects(self) -> list[ObjectVersion]:
        """Return the current objects."""
        return [
            ObjectVersion(self._name, blob.name, int(blob.generation)) for blob in self._client.list_blobs(self._name)
        ]
