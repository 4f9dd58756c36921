"""Publishing to the topics of a project.

The import takes 1 s, so functions import this module lazily.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import grpc
from google.api_core import exceptions
from google.api_core.retry import AsyncRetry
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.types import PublishRequest, PubsubMessage

from shared.config import Settings
from shared.errors import PermanentError, SettingsError, StoreUnavailableError

# The most that a PublishRequest may have (https://cloud.google.com/pubsub/quotas#resource_limits).
MAX_MESSAGES_PER_CALL = 1_000
# Seconds for a call with its retries. Google's default is ten minutes, longer than a function may run.
_TIMEOUT = 60.0
_RETRY = AsyncRetry(initial=0.1, maximum=5.0)  # retries the errors that Google calls transient


class Publisher:
    """Publishes to the topics of one project; use it as an async context manager.

    Attributes:
        events_topic: the topic of the pipeline's events.
    """

    def __init__(self, settings: Settings) -> None:
        self._project = settings.project_id
        self.events_topic = settings.resource("events")
        if settings.pubsub_emulator:
            channel = grpc.aio.insecure_channel(settings.pubsub_emulator)
            self._client = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        else:
            try:
                self._client = PublisherAsyncClient()
            except GoogleAuthError as error:
                raise SettingsError(f"credentials of Google Cloud: {error}") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.transport.close()

    async def publish(self, topic: str, messages: Sequence[PubsubMessage]) -> list[str]:
        """Publish messages in one call and return their ids.

        Raises:
            SettingsError: there is no such topic, or it may not be published to.
            StoreUnavailableError: Pub/Sub didn't respond in time.
        """
        name = f"projects/{self._project}/topics/{topic}"
        request = PublishRequest(topic=name, messages=messages)
        try:
            response = await self._client.publish(
                request=request, timeout=_TIMEOUT, retry=_RETRY.with_timeout(_TIMEOUT)
            )
        except exceptions.NotFound:
            raise SettingsError(
                f"topic {name}: found none, expected it to exist; `sluice provision` makes it"
            ) from None
        except (exceptions.PermissionDenied, exceptions.Unauthenticated) as error:
            raise SettingsError(f"topic {name}: may not be published to: {error.message}") from None
        except (exceptions.RetryError, exceptions.ServerError) as error:
            raise StoreUnavailableError(f"topic {name}: Pub/Sub didn't accept the messages: {error}") from None
        except exceptions.GoogleAPICallError as error:
            raise PermanentError(f"topic {name}: {error.message}") from None
        return list(response.message_ids)
