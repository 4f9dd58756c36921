"""Read what Eventarc posts to a function: a Pub/Sub message as a CloudEvent over HTTP."""

from __future__ import annotations

from typing import Final

from cloudevents.http import from_http
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared.pubsub.message import Message, receive_json
from shared.pubsub.message import receive as message_of

# What every CloudEvent has (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes),
# as headers in binary mode, which is what Eventarc sends.
_REQUIRED = {b"ce-id", b"ce-source", b"ce-type"}

ACKNOWLEDGED: Final = Response("OK")


async def _body(request: Request) -> bytes:
    """Return the body, which nearly always comes in one piece; Starlette's own way takes four times as long for one."""
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
    """Return the message that a request delivers.

    Eventarc's own form is read here, at a tenth of the cost of the CloudEvents SDK, which took half of the time that
    functions-framework spends on a request. Any other form is left to the SDK.

    Raises:
        HTTPException: 400, the request is no CloudEvent.
    """
    body = await _body(request)
    headers = dict(request.scope["headers"])
    if headers.get(b"ce-specversion") == b"1.0" and headers.keys() >= _REQUIRED:
        traceparent = headers.get(b"ce-traceparent")
        message = receive_json(body, traceparent.decode("latin-1") if traceparent else None)
        if message is not None:
            return message
    try:
        event = from_http(dict(request.headers), body)
    except Exception as error:  # the SDK's own, and whatever comes of headers and bodies that it doesn't expect
        raise HTTPException(400, f"Bad Request: expected a CloudEvent, found none: {error!r}"[:500]) from None
    return message_of(event.data, event.get_attributes())
