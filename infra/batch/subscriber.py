"""Pull messages from a subscription in batches."""

from __future__ import annotations

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import ReceivedMessage

from shared.config import Settings
from shared.errors import PermanentError, SettingsError

_PULL_TIMEOUT = 3.0  # seconds; a pull from an empty subscription blocks until the timeout
_CALL_TIMEOUT = 30.0  # seconds


class Subscriber:
    """Pulls from one subscription; use it as an async context manager."""

    def __init__(self, settings: Settings, subscription: str) -> None:
        self._name = f"projects/{settings.project_id}/subscriptions/{subscription}"
        if settings.pubsub_emulator:
            channel = grpc.aio.insecure_channel(settings.pubsub_emulator)
            self._client = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        else:
            try:
                self._client = SubscriberAsyncClient()
            except GoogleAuthError as error:
                raise SettingsError(f"credentials of Google Cloud: {error}") from None

    async def __aenter__(self) -> Subscriber:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.transport.close()

    async def pull(self, most: int) -> list[ReceivedMessage]:
        """Return messages, none if the subscription is empty.

        Args:
            most: the most messages to return.

        Raises:
            SettingsError: the subscription doesn't exist.
            PermanentError: the pull has failed.
        """
        try:
            response = await self._client.pull(
                subscription=self._name, max_messages=most, timeout=_PULL_TIMEOUT, retry=None
            )
        except exceptions.DeadlineExceeded:
            return []
        except exceptions.NotFound:
            raise SettingsError(
                f"subscription {self._name}: found none, expected it to exist; `sluice provision` makes it"
            ) from None
        except exceptions.GoogleAPICallError as error:
            raise PermanentError(f"subscription {self._name}: {error.message}") from None
        return list(response.received_messages)

    async def acknowledge(self, ack_ids: list[str]) -> None:
        """Acknowledge messages."""
        await self._client.acknowledge(subscription=self._name, ack_ids=ack_ids, timeout=_CALL_TIMEOUT)

    async def nack(self, ack_ids: list[str]) -> None:
        """Request the redelivery of messages."""
        await self._client.modify_ack_deadline(
            subscription=self._name, ack_ids=ack_ids, ack_deadline_seconds=0, timeout=_CALL_TIMEOUT
        )
