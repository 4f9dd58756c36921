"""Messages: the checks of Publish, and the form in which the engine keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from infra.emulators.errors import invalid
from infra.emulators.protos.pubsub_pb2 import PublishRequest, PubsubMessage

# https://cloud.google.com/pubsub/quotas#resource_limits
_MAX_MESSAGES = 1_000
MAX_REQUEST_BYTES = 10_000_000
_MAX_ATTRIBUTES = 100
_MAX_KEY_BYTES = 256
_MAX_VALUE_BYTES = 1_024
_MAX_ORDERING_KEY_BYTES = 1_024
_RESERVED_PREFIX = "goog"


class Message:
    """A published message.

    Attributes:
        id: number, which increases with each message.
        topic: number of the topic.
        published: microseconds since 1970.
        content: the serialized PubsubMessage, with its ID and time.
        holders: number of subscriptions that haven't acknowledged it.
    """

    __slots__ = ("_parsed", "content", "holders", "id", "published", "topic")

    def __init__(self, number: int, topic: int, published: int, content: bytes) -> None:
        self.id, self.topic, self.published, self.content = number, topic, published, content
        self.holders = 0
        self._parsed: Any = None  # most messages are never parsed: they are stored and given as they are

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attributes."""
        attributes: Mapping[str, str] = self._parse().attributes
        return attributes

    @property
    def ordering_key(self) -> str:
        """The ordering key, "" for none."""
        return str(self._parse().ordering_key)

    def _parse(self) -> Any:
        if self._parsed is None:
            self._parsed = PubsubMessage.FromString(self.content)
        return self._parsed


def stamp(content: Any, number: int, topic: int, published: int) -> Message:
    """Return the message of a PubsubMessage, after setting its ID and publish time."""
    content.message_id = str(number)
    content.publish_time.seconds, micros = divmod(published, 1_000_000)
    content.publish_time.nanos = micros * 1_000
    return Message(number, topic, published, content.SerializeToString())


def check_messages(request: PublishRequest) -> None:
    """Raise ApiError unless the messages of a request keep all limits."""
    messages: Collection[Any] = request.messages
    if not messages:
        raise invalid("No messages to publish")
    if len(messages) > _MAX_MESSAGES:
        raise invalid(f"Too many messages to publish: found {len(messages)}, expected {_MAX_MESSAGES} at most")
    if request.ByteSize() > MAX_REQUEST_BYTES:
        raise invalid(f"Request payload size: found {request.ByteSize()} bytes, expected {MAX_REQUEST_BYTES} at most")
    for index, message in enumerate(messages):
        if not message.data and not message.attributes:
            raise invalid(f"Some messages are empty: found no data and no attributes in messages[{index}]")
        if len(message.attributes) > _MAX_ATTRIBUTES:
            found = len(message.attributes)
            raise invalid(f"messages[{index}].attributes: found {found}, expected {_MAX_ATTRIBUTES} at most")
        _check_bytes(f"messages[{index}].ordering_key", message.ordering_key, _MAX_ORDERING_KEY_BYTES)
        for key, value in message.attributes.items():
            _check_attribute(f"messages[{index}].attributes", key, value)


def _check_attribute(field: str, key: str, value: str) -> None:
    if not key or key.startswith(_RESERVED_PREFIX):
        raise invalid(f"{field}: found the key {key!r}, expected a text that doesn't start with {_RESERVED_PREFIX}")
    _check_bytes(f"{field}: key {key[:20]!r}", key, _MAX_KEY_BYTES)
    _check_bytes(f"{field}: value of {key!r}", value, _MAX_VALUE_BYTES)


def _check_bytes(field: str, text: str, most: int) -> None:
    # A character has four bytes at most, so short texts need no encoding.
    if len(text) * 4 > most and len(text.encode()) > most:
        raise invalid(f"{field}: found {len(text.encode())} bytes, expected {most} at most")
