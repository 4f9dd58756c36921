"""The publisher over a real connection: its calls, retries and errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.pubsub_v1.types import PublishRequest, PublishResponse, PubsubMessage
from grpc import StatusCode

from shared.aggregate.fan_out import request_days
from shared.config import Settings
from shared.errors import PermanentError, SettingsError, SluiceError, StoreUnavailableError
from shared.pubsub import publisher
from shared.pubsub.publisher import Publisher


class FakePubSub(grpc.GenericRpcHandler):
    """A fake of Pub/Sub: aborts a call for each of its codes, and then accepts every call."""

    def __init__(self) -> None:
        self.codes: list[StatusCode] = []
        self.requests: list[PublishRequest] = []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            self._publish,
            request_deserializer=PublishRequest.deserialize,
            response_serializer=PublishResponse.serialize,
        )

    async def _publish(self, request: PublishRequest, context: grpc.aio.ServicerContext) -> PublishResponse:
        self.requests.append(request)
        if self.codes:
            await context.abort(self.codes.pop(0), "on purpose")
        return PublishResponse(message_ids=[f"{number}" for number, _ in enumerate(request.messages)])


@pytest.fixture
async def service() -> AsyncIterator[tuple[FakePubSub, Settings]]:
    pubsub = FakePubSub()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([pubsub])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield pubsub, Settings("project", "instance", pubsub_emulator=f"127.0.0.1:{port}")
    await server.stop(None)


async def test_each_day_has_a_message_and_each_call_the_maximum_number(service: tuple[FakePubSub, Settings]) -> None:
    pubsub, settings = service
    days = [date(2024, 1, 15) + timedelta(days=number) for number in range(1_001)]

    await request_days(settings, days)

    assert [(call.topic, len(call.messages)) for call in pubsub.requests] == [
        ("projects/project/topics/aggregate-requests", 1_000),
        ("projects/project/topics/aggregate-requests", 1),
    ]
    sent = [message.data for call in pubsub.requests for message in call.messages]
    assert sent == [f'{{"date": "{day}"}}'.encode() for day in days]


async def test_transient_errors_are_retried(service: tuple[FakePubSub, Settings]) -> None:
    pubsub, settings = service
    pubsub.codes = [StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED]

    await request_days(settings, [date(2024, 1, 15)])

    assert len(pubsub.requests) == 3


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        (StatusCode.NOT_FOUND, SettingsError, "found none, expected it to exist; `sluice provision` makes it"),
        (StatusCode.PERMISSION_DENIED, SettingsError, "may not be published to: on purpose"),
        (StatusCode.UNAUTHENTICATED, SettingsError, "may not be published to: on purpose"),
        (StatusCode.UNKNOWN, StoreUnavailableError, "Pub/Sub didn't accept the messages: "),
        (StatusCode.INVALID_ARGUMENT, PermanentError, "on purpose"),
    ],
)
async def test_errors_name_the_topic(
    service: tuple[FakePubSub, Settings], code: StatusCode, error: type[SluiceError], text: str
) -> None:
    pubsub, settings = service
    pubsub.codes = [code]

    async with Publisher(settings) as publisher:
        with pytest.raises(error) as caught:
            await publisher.publish("events", [PubsubMessage(data=b"{}")])

    assert type(caught.value) is error
    assert str(caught.value).startswith(f"topic projects/project/topics/events: {text}")


async def test_an_outage_fails_within_the_timeout(
    service: tuple[FakePubSub, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    pubsub, settings = service
    pubsub.codes = [StatusCode.UNAVAILABLE] * 1_000
    monkeypatch.setattr(publisher, "_TIMEOUT", 0.2)

    with pytest.raises(StoreUnavailableError, match="Pub/Sub didn't accept the messages"):
        await request_days(settings, [date(2024, 1, 15)])


def test_missing_credentials_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DefaultCredentialsError("found none")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(publisher, "PublisherAsyncClient", fail)

    with pytest.raises(SettingsError, match="credentials of Google Cloud: found none"):
        Publisher(Settings("project", "instance"))
