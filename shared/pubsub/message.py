"""A Pub/Sub message: reads it from the body of a request and unpacks its events."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from shared import json_nesting, timestamps
from shared.timestamps import EPOCH

CONTENT_ENCODING = "content-encoding"
CONTENT_TYPE = "content-type"
# Declares that every line is an event, so that a verdict doesn't depend on how events are packed.
LINES = "application/x-ndjson"
# A replayed event keeps the time of its first publication, on which its verdict depends.
FIRST_PUBLISHED = "sluice-first-published"

# The type of a CloudEvent that carries no Pub/Sub message; its data is then the data of the message.
CLOUD_EVENT_TYPE = "ce-type"

# Google's publisher clients set this attribute (https://cloud.google.com/pubsub/docs/open-telemetry-tracing).
TRACEPARENT = "googclient_traceparent"

# Bytes of a message that this project publishes; `shared.pubsub.packing` enforces it. Pub/Sub carries 10 MB
# (https://cloud.google.com/pubsub/quotas#resource_limits), but an instance of 512 MiB receives 64 messages at once.
MAX_PACKED_BYTES = 256 * 1024
# Unpacked bytes of a message. Gzip reduces JSON logs to about a tenth.
MAX_UNPACKED_BYTES = 4 * 1024 * 1024
# A hundred events per message already make an event cheap. Ten thousand are processed in less than a second.
MAX_EVENTS_PER_MESSAGE = 10_000
# Members of a gzip message. Publishers send one; a log with an event per member has as many as a message has events.
MAX_GZIP_MEMBERS = 10_000
# Compressed bytes that are decompressed at once.
_GUNZIP_SLICE_BYTES = 16 * 1024
_GZIP_MAGIC = b"\x1f\x8b"

_read_time = timestamps.reader(None, None)


class UnpackError(Exception):
    """The data of a message can't be unpacked.

    Attributes:
        reason: what is wrong, "not_json" or "too_large".
        found: what the data is.
        expected: what it should have been.
    """

    def __init__(self, reason: Literal["not_json", "too_large"], found: str, expected: str) -> None:
        super().__init__(f"{reason}: found {found}, expected {expected}")
        self.reason, self.found, self.expected = reason, found, expected


class Message(msgspec.Struct, frozen=True):
    """A Pub/Sub message.

    Attributes:
        published: when it was first published.
        traceparent: the W3C header of its trace, if it has one.
        problem: what was expected, if the body or its data is invalid. `data` is then the invalid part as bytes.
    """

    data: bytes
    message_id: str
    published: datetime
    attributes: Mapping[str, str] = {}
    traceparent: str | None = None
    problem: str | None = None


class _Pushed(msgspec.Struct, rename="camel"):
    message_id: str
    publish_time: str
    data: bytes = b""
    attributes: dict[str, str] = {}


class _Push(msgspec.Struct):
    message: _Pushed


_decode_push = msgspec.json.Decoder(_Push).decode


def receive_json(body: bytes, traceparent: str | None = None) -> Message | None:
    """Return the Pub/Sub message in a JSON body; None for an unusual body, which `receive` accepts.

    Args:
        body: JSON.
        traceparent: of the CloudEvent.
    """
    try:
        pushed = _decode_push(body).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    own = pushed.attributes
    published = _read_time(own.get(FIRST_PUBLISHED, pushed.publish_time))
    if type(published) is not datetime or published < EPOCH or not pushed.message_id:
        return None
    return Message(pushed.data, pushed.message_id, published, own, traceparent or own.get(TRACEPARENT))


def receive(body: Any, attributes: Mapping[str, Any] = MappingProxyType({})) -> Message:
    """Return the Pub/Sub message in a body; a body of any other kind becomes a `Message` with a `problem`.

    Args:
        body: the decoded JSON body: `{"message": {"data": …, "attributes": …, "messageId": …, "publishTime": …}}`.
        attributes: of the CloudEvent; its `id` and `time` are used for a message that has none.
    """
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, dict):
        return Message(
            _as_bytes(body),
            str(attributes.get("id", "")),
            first_valid_time(attributes.get("time")),
            {CLOUD_EVENT_TYPE: str(attributes["type"])} if "type" in attributes else {},
            traceparent=_text(attributes.get("traceparent")),
            problem="an object with a Pub/Sub message",
        )
    own = message.get("attributes")
    own = {name: value for name, value in own.items() if isinstance(value, str)} if isinstance(own, dict) else {}
    message_id = message.get("messageId") or message.get("message_id") or attributes.get("id", "")
    first = own.get(FIRST_PUBLISHED)
    published = first_valid_time(first, message.get("publishTime"), message.get("publish_time"), attributes.get("time"))
    traceparent = _text(attributes.get("traceparent")) or own.get(TRACEPARENT)
    data = message.get("data") or ""
    problem = None
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raw, problem = _as_bytes(data), "data in base64"
    return Message(raw, str(message_id), published, own, traceparent, problem)


def unpack(message: Message) -> list[bytes]:
    """Return the events of a message, each as its bytes.

    The data is a JSON object, a JSON array or newline-delimited JSON, plain or gzip. Other data is returned whole or
    line by line, and validation rejects it. With the attribute `content-type: application/x-ndjson` every line is an
    event, and the data is gzip only if `content-encoding` says so.

    Raises:
        UnpackError: not a Pub/Sub message, invalid gzip, over `MAX_UNPACKED_BYTES` or `MAX_EVENTS_PER_MESSAGE`.
    """
    if message.problem:
        raise UnpackError("not_json", "something else", message.problem)
    data = message.data
    lines = message.attributes.get(CONTENT_TYPE) == LINES
    if is_gzip(message):
        data = _gunzip(data)
    elif len(data) > MAX_UNPACKED_BYTES:
        raise UnpackError("too_large", f"{len(data)} bytes", f"at most {MAX_UNPACKED_BYTES} bytes")
    events = _lines(data) if lines else split(data)
    if len(events) > MAX_EVENTS_PER_MESSAGE:
        raise UnpackError("too_large", f"{len(events)} events or more", f"at most {MAX_EVENTS_PER_MESSAGE} events")
    return events


def is_gzip(message: Message) -> bool:
    """Return whether the data of a message is to be decompressed."""
    if message.attributes.get(CONTENT_ENCODING, "").lower() == "gzip":
        return True
    return message.data.startswith(_GZIP_MAGIC) and message.attributes.get(CONTENT_TYPE) != LINES


def split(data: bytes) -> list[bytes]:
    """Return the JSON values of an array or of lines, or the data itself as one value."""
    data = data.removeprefix(b"\xef\xbb\xbf").strip()
    if data.startswith(b"[") and (elements := _elements(data)) is not None:
        return elements
    first, newline, _ = data.partition(b"\n")
    if not newline or (not _is_json(first) and _is_json(data)):
        return [data]
    return [line for raw in _lines(data) if (line := raw.strip())]


# Data with more commas or newlines isn't parsed in one call: an instance lacks the memory for millions of elements.
_MAX_SEPARATORS = 20 * MAX_EVENTS_PER_MESSAGE
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_VALUE = msgspec.json.Decoder(msgspec.Raw)


def _elements(data: bytes) -> list[bytes] | None:
    """Return the elements of an array, at most one above the limit; None if the data is no array."""
    if data.count(b",") <= _MAX_SEPARATORS:
        try:
            return [bytes(raw) for raw in _ARRAY.decode(data)]
        except msgspec.DecodeError:
            return None
        except RecursionError:
            pass  # an element is nested too deep; validation rejects it and keeps the others
    return json_nesting.elements(data, most=MAX_EVENTS_PER_MESSAGE + 1)


def _lines(data: bytes) -> list[bytes]:
    """Return the non-empty lines."""
    newlines = data.count(b"\n")
    if newlines > _MAX_SEPARATORS:
        raise UnpackError("too_large", f"{newlines} lines", f"at most {MAX_EVENTS_PER_MESSAGE} events")
    return [line for line in data.split(b"\n") if line]


def _is_json(data: bytes) -> bool:
    try:
        _VALUE.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _gunzip(data: bytes) -> bytes:
    """Decompress up to `MAX_GZIP_MEMBERS` members and `MAX_UNPACKED_BYTES`, in time linear in the data."""
    parts: list[bytes] = []
    room = MAX_UNPACKED_BYTES
    members = 0
    member: Any = None
    position = 0
    # What a member leaves unused is copied, so a slice is small.
    while position < len(data):
        left = data[position : position + _GUNZIP_SLICE_BYTES]
        position += len(left)
        while left:
            if member is None:
                left = left.lstrip(b"\0")  # padding may follow a member
                if not left:
                    break
                members += 1
                if members > MAX_GZIP_MEMBERS:
                    expected = f"at most {MAX_GZIP_MEMBERS} gzip members"
                    raise UnpackError("too_large", f"over {MAX_GZIP_MEMBERS} gzip members", expected)
                member = zlib.decompressobj(wbits=31)
            try:
                part = member.decompress(left, room + 1)
            except zlib.error as error:
                raise UnpackError("not_json", "invalid gzip", f"gzip ({error})") from None
            if len(part) > room:
                found = f"gzip of over {MAX_UNPACKED_BYTES} bytes"
                raise UnpackError("too_large", found, f"at most {MAX_UNPACKED_BYTES} bytes")
            parts.append(part)
            room -= len(part)
            left = member.unused_data
            member = None if member.eof else member
    if member is not None:
        raise UnpackError("not_json", "truncated gzip", "gzip")
    return b"".join(parts)


def first_valid_time(*texts: Any) -> datetime:
    """Return the first text that is a time from 1970 on; the current time if none is."""
    return next((_read_time(text) for text in texts if is_valid_time(text)), None) or datetime.now(UTC)


def is_valid_time(text: Any) -> bool:
    """Return whether a text is an RFC 3339 time from 1970 on."""
    time = _read_time(text)
    return type(time) is datetime and time >= EPOCH


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(type(value)).encode()
