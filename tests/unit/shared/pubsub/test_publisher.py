"""Messages get into a topic, days a message each, and what Pub/Sub refuses is told as ours, over a real connection."""

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


class Service(grpc.GenericRpcHandler):
    """Pub/Sub, which answers calls with the codes it is told, and then takes everything."""

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
async def service() -> AsyncIterator[tuple[Service, Settings]]:
    service = Service()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([service])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield service, Settings("project", "instance", pubsub_emulator=f"127.0.0.1:{port}")
    await server.stop(None)


async def test_each_day_has_a_message_and_as_many_as_may_go_in_a_call(service: tuple[Service, Settings]) -> None:
    topics, settings = service
    days = [date(2024, 1, 15) + timedelta(days=ahead) for ahead in range(1_001)]

    await request_days(settings, days)

    assert [(call.topic, len(call.messages)) for call in topics.requests] == [
        ("projects/project/topics/aggregate-requests", 1_000),
        ("projects/project/topics/aggregate-requests", 1),
    ]
    sent = [message.data for call in topics.requests for message in call.messages]
    assert sent == [f'{{"date": "{day}"}}'.encode() for day in days]


async def test_what_another_try_may_mend_is_tried_again(service: tuple[Service, Settings]) -> None:
    topics, settings = service
    topics.codes = [StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED]

    await request_days(settings, [date(2024, 1, 15)])

    assert len(topics.requests) == 3


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
async def test_what_pubsub_refuses_is_told_with_the_topic(
    service: tuple[Service, Settings], code: StatusCode, error: type[SluiceError], text: str
) -> None:
    topics, settings = service
    topics.codes = [code]

    async with Publisher(settings) as publisher:
        with pytest.raises(error) as caught:
            await publisher.publish("events", [PubsubMessage(data=b"{}")])

    assert type(caught.value) is error
    assert str(caught.value).startswith(f"topic projects/project/topics/events: {text}")


async def test_an_outage_ends_in_time_for_the_function_to_answer(
    service: tuple[Service, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    topics, settings = service
    topics.codes = [StatusCode.UNAVAILABLE] * 1_000
    monkeypatch.setattr(publisher, "_TIMEOUT", 0.2)

    with pytest.raises(StoreUnavailableError, match="Pub/Sub didn't accept the messages"):
        await request_days(settings, [date(2024, 1, 15)])


def test_without_credentials_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> None:
        raise DefaultCredentialsError("found none")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(publisher, "PublisherAsyncClient", nobody)

    with pytest.raises(SettingsError, match="credentials of Google Cloud: found none"):
        Publisher(Settings("project", "instance"))
