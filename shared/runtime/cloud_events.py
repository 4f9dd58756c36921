"""Reads the Pub/Sub message of a request: a push of Pub/Sub, or a CloudEvent."""

from __future__ import annotations

from typing import Final

import msgspec
from cloudevents.http import from_http
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared.pubsub.message import Message, receive_json
from shared.pubsub.message import receive as message_of

# Required attributes (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes),
# as headers in binary mode.
_REQUIRED = {b"ce-id", b"ce-source", b"ce-type"}

_STRUCTURED = b"application/cloudevents"

ACKNOWLEDGED: Final = Response("OK")


async def _body(request: Request) -> bytes:
    """Return the body. Nearly every body arrives in one piece, which takes Starlette four times as long."""
    piece = await request.receive()
    if not piece.get("more_body") and piece["type"] == "http.request":
        return bytes(piece.get("body", b""))
    pieces = []
    while piece["type"] == "http.request":
        pieces.append(piece.get("body", b""))
        if not piece.get("more_body"):
            return b"".join(pieces)
        piece = await request.receive()
    raise ClientDisconnect


async def receive(request: Request) -> Message:
    """Return the message of a request.

    The body of a push and of a binary CloudEvent is the same (https://cloud.google.com/pubsub/docs/push). It is read
    here at a tenth of the cost of the CloudEvents SDK, which reads structured CloudEvents and unusual ones.

    Raises:
        HTTPException: 400, the request is neither a push nor a CloudEvent.
    """
    body = await _body(request)
    headers = dict(request.scope["headers"])
    is_event = b"ce-specversion" in headers or headers.get(b"content-type", b"").startswith(_STRUCTURED)
    if not is_event or (headers.get(b"ce-specversion") == b"1.0" and headers.keys() >= _REQUIRED):
        traceparent = headers.get(b"ce-traceparent")
        message = receive_json(body, traceparent.decode("latin-1") if traceparent else None)
        if message is not None:
            return message
    return _receive_event(request, body) if is_event else _receive_push(body)


def _receive_push(body: bytes) -> Message:
    """Return the message of a push that isn't of the usual form; raises HTTPException for another body."""
    try:
        push = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad_request(f"a body that isn't JSON ({error})") from None
    if not isinstance(push, dict) or not isinstance(push.get("message"), dict):
        raise _bad_request("a body without an object `message`")
    return message_of(push)


def _receive_event(request: Request, body: bytes) -> Message:
    """Return the message of a CloudEvent; raises HTTPException."""
    try:
        event = from_http(dict(request.headers), body)
    except Exception as error:  # the SDK also raises unrelated errors for unexpected headers and bodies
        raise _bad_request(repr(error)) from None
    return message_of(event.data, event.get_attributes())


def _bad_request(found: str) -> HTTPException:
    return HTTPException(400, f"Bad Request: found {found[:300]}, expected a push of Pub/Sub or a CloudEvent")
