"""Requests: their bodies are read completely, and those without a message are refused."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from shared.runtime.cloud_events import receive
from tests.support.samples import cloud_event, push


def request(headers: dict[str, str], *pieces: dict[str, Any]) -> Request:
    remaining = iter(pieces)

    async def next_piece() -> dict[str, Any]:
        return next(remaining)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, next_piece)


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


HEADERS, BODY = cloud_event(b"hello", message_id="77", published="2024-01-15T12:00:00Z")


async def test_a_body_in_one_piece() -> None:
    message = await receive(request(HEADERS, piece(BODY)))

    assert (message.data, message.message_id) == (b"hello", "77")


async def test_a_body_in_several_pieces() -> None:
    message = await receive(
        request(
            HEADERS, piece(BODY[:10], more=True), piece(b"", more=True), piece(BODY[10:30], more=True), piece(BODY[30:])
        )
    )

    assert (message.data, message.message_id) == (b"hello", "77")


@pytest.mark.parametrize("before", [[], [piece(BODY[:10], more=True)]])
async def test_a_disconnect_before_the_end_of_the_body_is_an_error(before: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientDisconnect):
        await receive(request(HEADERS, *before, {"type": "http.disconnect"}))


async def test_structured_mode_is_read() -> None:
    body = b'{"specversion": "1.0", "id": "1", "source": "//p", "type": "t", "data": {"message": {"data": "aGVsbG8="}}}'

    message = await receive(request({"content-type": "application/cloudevents+json"}, piece(body)))

    assert (message.data, message.message_id) == (b"hello", "1")


async def test_a_push_is_read() -> None:
    headers, body = push(b"hello", message_id="88")

    message = await receive(request(headers, piece(body)))

    assert (message.data, message.message_id) == (b"hello", "88")


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json; charset=utf-8"}])
async def test_an_unusual_push_is_read(headers: dict[str, str]) -> None:
    """Without a message id, as a command line may send it."""
    message = await receive(request(headers, piece(b'{"message": {"data": "aGVsbG8="}}')))

    assert (message.data, message.message_id) == (b"hello", "")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"hello", "a body that isn't JSON"),
        (b"\xff", "a body that isn't JSON"),
        (b"[" * 100_000, "a body that isn't JSON"),
        (b"[]", "a body without an object `message`"),
        (b'{"message": "x"}', "a body without an object `message`"),
    ],
)
async def test_a_request_without_a_message_is_refused(body: bytes, found: str) -> None:
    with pytest.raises(HTTPException, match=f"found {found}.*, expected a push of Pub/Sub or a CloudEvent") as caught:
        await receive(request({"content-type": "application/json"}, piece(body)))

    assert caught.value.status_code == 400
