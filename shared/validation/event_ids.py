"""The ids of events: the values of a contract's fields as text, or a digest of the received record. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.contracts.model import Contract
from shared.row_keys import event_id, event_ids

_decode = msgspec.json.Decoder().decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class EventIds:
    """The ids of one contract's events.

    Attributes:
        fields: the fields of an id, each with the function that returns its value as text; none for a digest.
    """

    def __init__(self, contract: Contract) -> None:
        self.fields = [(name, _TEXTS[contract.field(name).type]) for name in contract.id]

    def of_event(self, event: Mapping[str, Any], record: dict[str, Any]) -> str:
        """Return the encoded id of a canonical event without findings, from the record that it was made of."""
        if not self.fields:
            return digest(record)
        return event_id([text(event[name]) for name, text in self.fields])

    def of_columns(self, columns: Sequence[Sequence[Any]], raws: Iterable[bytes]) -> list[bytes]:
        """Return the encoded ids of events.

        Args:
            columns: the values of each field of `fields`.
            raws: the bytes of each event, as received.
        """
        if not self.fields:
            return [digest(_decode(raw)).encode() for raw in raws]
        pairs = zip(columns, self.fields, strict=True)
        return event_ids([column if text is _same else list(map(text, column)) for column, (_, text) in pairs])


def digest(record: dict[str, Any]) -> str:
    """Return the digest of a record, 32 hexadecimal digits: it depends on names and values, not on their order.

    Among 2**32 records, two have the same digest with a probability of 2**-65. Numbers count as they are written:
    `1` and `1.0` differ. So do a null and an absent value.
    """
    try:
        text = _encode_sorted(record)
    except OverflowError:  # an integer beyond 64 bits, in a field that isn't stored
        text = json.dumps(record, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:32]


def _same(value: str) -> str:
    return value


def _number_text(value: float) -> str:
    """Return a number as text; a float without a fraction is the same number as the integer."""
    return str(int(value)) if type(value) is float and value.is_integer() else repr(value)


def _boolean_text(value: bool) -> str:
    return "true" if value else "false"


def _timestamp_text(value: datetime) -> str:
    return value.isoformat().removesuffix("+00:00") + "Z"


_TEXTS: dict[str, Callable[[Any], str]] = {
    "string": _same,
    "integer": str,
    "number": _number_text,
    "boolean": _boolean_text,
    "timestamp": _timestamp_text,
}
