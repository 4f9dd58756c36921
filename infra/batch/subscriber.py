"""Pull messages from a subscription, a batch at a time."""

from __future__ import annotations

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import ReceivedMessage

from shared.config import Settings
from shared.errors import PermanentError, SettingsError

# Seconds to wait for a message; a subscription that has none answers late, not at once.
_WAIT = 3.0
_TIMEOUT = 30.0


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
        """Return some messages, none if there are none.

        Raises:
            SettingsError: there is no such subscription.
            PermanentError: it can't be pulled from.
        """
        try:
            response = await self._client.pull(subscription=self._name, max_messages=most, timeout=_WAIT, retry=None)
        except exceptions.DeadlineExceeded:
            return []
        except exceptions.NotFound:
            raise SettingsError(f"subscription {self._name}: found none; `sluice provision` makes it") from None
        except exceptions.GoogleAPICallError as error:
            raise PermanentError(f"subscription {self._name}: {error.message}") from None
        return list(response.received_messages)

    async def acknowledge(self, ack_ids: list[str]) -> None:
        """Say that messages are done with."""
        await self._client.acknowledge(subscription=self._name, ack_ids=ack_ids, timeout=_TIMEOUT)

    async def hand_back(self, ack_ids: list[str]) -> None:
        """Say that messages are to be delivered again."""
        await self._client.modify_ack_deadline(
            subscription=self._name, ack_ids=ack_ids, ack_deadline_seconds=0, timeout=_TIMEOUT
        )
