"""The messages of `load`: Cloud Storage's notification of a new object, and our request for one range of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from shared.errors import RequestError
from shared.pubsub.message import CLOUD_EVENT_TYPE, Message

TOPIC = "loads"

# The attributes of a notification (https://cloud.google.com/storage/docs/pubsub-notifications#attributes).
_EVENT, _BUCKET, _OBJECT, _GENERATION = "eventType", "bucketId", "objectId", "objectGeneration"
_FINALIZED = "OBJECT_FINALIZE"
# A request for a range has the attributes of a notification, another event type and the range.
_RANGE, _RANGE_START = "SLUICE_RANGE", "rangeStart"
# The types of CloudEvents of Cloud Storage (https://cloud.google.com/eventarc/docs/reference/supported-events).
_CLOUD_EVENTS, _CLOUD_FINALIZED = "google.cloud.storage.object.v1.", "google.cloud.storage.object.v1.finalized"

_MAX_QUOTED_CHARS = 200


class ObjectVersion(msgspec.Struct, frozen=True):
    """One generation of an object of Cloud Storage; its content never changes."""

    bucket: str
    name: str
    generation: int

    @property
    def uri(self) -> str:
        """Its address, without the generation."""
        return f"gs://{self.bucket}/{self.name}"


class LoadRequest(NamedTuple):
    """What a message requests.

    Attributes:
        object: the object to load.
        start: the first byte of the range to load; None for the whole object.
    """

    object: ObjectVersion
    start: int | None = None


def parse(message: Message) -> LoadRequest | None:
    """Return the request of a message; None for an event of an object other than its creation.

    Raises:
        RequestError: the message is neither a notification of Cloud Storage nor a request for a range.
    """
    attributes = message.attributes
    cloud_event = attributes.get(CLOUD_EVENT_TYPE, "")
    if cloud_event.startswith(_CLOUD_EVENTS):
        return LoadRequest(_object_of_event(message.data)) if cloud_event == _CLOUD_FINALIZED else None
    event = attributes.get(_EVENT)
    if event is None or message.problem:
        found = repr(message.data[:_MAX_QUOTED_CHARS])
        raise RequestError(
            f"found a message with the data {found} and the attributes {sorted(attributes)}, "
            f"expected a notification of Cloud Storage with the attribute {_EVENT}"
        )
    if event == _FINALIZED:
        return LoadRequest(_object_of_attributes(attributes))
    if event == _RANGE:
        return LoadRequest(_object_of_attributes(attributes), _number(_RANGE_START, attributes.get(_RANGE_START), 0))
    return None


def notification(object: ObjectVersion) -> dict[str, str]:
    """Return the attributes of the message by which Cloud Storage announces a new object."""
    return {
        _EVENT: _FINALIZED,
        _BUCKET: object.bucket,
        _OBJECT: object.name,
        _GENERATION: str(object.generation),
        "payloadFormat": "NONE",
    }


def range_request(object: ObjectVersion, start: int) -> dict[str, str]:
    """Return the attributes of the message that requests the range of an object from a byte on."""
    return {**notification(object), _EVENT: _RANGE, _RANGE_START: str(start)}


def _object_of_attributes(attributes: Mapping[str, str]) -> ObjectVersion:
    return _object(attributes.get(_BUCKET), attributes.get(_OBJECT), attributes.get(_GENERATION))


def _object_of_event(data: bytes) -> ObjectVersion:
    try:
        resource: dict[str, Any] = msgspec.json.decode(data, type=dict)
    except msgspec.DecodeError as error:
        raise RequestError(f"found a CloudEvent without an object of Cloud Storage ({error})") from None
    return _object(resource.get("bucket"), resource.get("name"), resource.get("generation"))


def _object(bucket: Any, name: Any, generation: Any) -> ObjectVersion:
    if not isinstance(bucket, str) or not isinstance(name, str) or not bucket or not name:
        found = f"bucket {bucket!r} and object {name!r}"[:_MAX_QUOTED_CHARS]
        raise RequestError(f"found {found}, expected the names of a bucket and of an object")
    return ObjectVersion(bucket, name, _number(_GENERATION, generation, 1))


def _number(name: str, text: Any, minimum: int) -> int:
    """Return an integer of 64 bits."""
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19 and minimum <= int(digits) < 2**63):
        raise RequestError(f"{name}: found {digits[:_MAX_QUOTED_CHARS]!r}, expected an integer from {minimum} on")
    return int(digits)
