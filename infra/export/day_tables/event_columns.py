"""The columns of exported events: the fields of the contract with their types, and columns for everything else.

A value that doesn't fit the type of its column is null there and stands unchanged in `_other_fields`. Such values are
rare: they need a field of severity "warn", or events that were stored without checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from msgspec import Raw

from infra.export.day_tables.stored_events import StoredEvent, readable_id
from shared.contracts.model import Contract, Type

EVENT_ID, FINDINGS, OTHER_FIELDS, EARLIER = "_event_id", "_findings", "_other_fields", "_earlier_events"

TIMESTAMP = pa.timestamp("us", tz="UTC")

_ARROW_TYPES: dict[Type, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": TIMESTAMP,
    "object": pa.string(),
    "array": pa.string(),
}
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_PYTHON_TYPES: dict[Type, Any] = {
    "string": str,
    "integer": _Int64,
    "number": int | float,
    "boolean": bool,
    "timestamp": datetime,
    "object": dict[str, Raw],
    "array": list[Raw],
}

# Integers up to this size are exact as floats.
_MAX_EXACT_FLOAT = 2**53
_NULL = Raw(b"null")

_Converter = Callable[[Sequence[Raw]], tuple[list[Any], list[int]]]


class EventColumns:
    """Makes record batches of events.

    Attributes:
        schema: of the batches.
    """

    def __init__(self, contract: Contract) -> None:
        self._id_parts = len(contract.id)
        self._converters = {field.name: _converter(field.type) for field in contract.fields}
        fields = [pa.field(field.name, _ARROW_TYPES[field.type]) for field in contract.fields]
        extra = [pa.field(name, pa.string()) for name in (EVENT_ID, FINDINGS, OTHER_FIELDS, EARLIER)]
        self.schema = pa.schema([*fields, *extra])
        self._decode = msgspec.json.Decoder(list[dict[str, Raw]]).decode

    def batch(self, events: Sequence[StoredEvent]) -> pa.RecordBatch:
        """Return events as a record batch."""
        decoded = self._decode(_array([event.value for event in events]))
        columns: dict[str, list[Any]] = {}
        for name, convert in self._converters.items():
            values = [event.pop(name, _NULL) for event in decoded]
            columns[name], unfit = convert(values)
            for index in unfit:
                decoded[index][name] = values[index]
        columns[EVENT_ID] = [readable_id(event.event_id, self._id_parts) for event in events]
        columns[FINDINGS] = [event.findings for event in events]
        columns[OTHER_FIELDS] = [_object(rest) if rest else None for rest in decoded]
        columns[EARLIER] = [_array(event.earlier) if event.earlier else None for event in events]
        arrays = [pa.array(columns[field.name], field.type) for field in self.schema]
        return pa.record_batch(arrays, schema=self.schema)


def _converter(type_: Type) -> _Converter:
    """Return the function that converts a column of JSON values; it also returns the indexes of unfit values."""
    python_type: Any = _PYTHON_TYPES[type_] | None
    decode_all = msgspec.json.Decoder(list[python_type]).decode
    decode_one = msgspec.json.Decoder(python_type).decode

    def convert(values: Sequence[Raw]) -> tuple[list[Any], list[int]]:
        unfit: list[int] = []
        try:
            converted: list[Any] = decode_all(_array(values))
        except msgspec.ValidationError:
            converted = []
            for index, value in enumerate(values):
                try:
                    converted.append(decode_one(value))
                except msgspec.ValidationError:
                    converted.append(None)
                    unfit.append(index)
        if type_ == "number":
            unfit += _inexact(converted)
            converted = [None if value is None else float(value) for value in converted]
        elif type_ in ("object", "array"):
            converted = [None if value is None else bytes(raw) for value, raw in zip(converted, values, strict=True)]
        return converted, unfit

    return convert


def _inexact(numbers: Sequence[Any]) -> list[int]:
    """Return the indexes of the integers that no float equals."""
    return [
        index
        for index, number in enumerate(numbers)
        if type(number) is int and abs(number) > _MAX_EXACT_FLOAT and float(number) != number
    ]


def _array(values: Sequence[bytes | Raw]) -> bytes:
    return b"[" + b",".join(values) + b"]"


def _object(fields: dict[str, Raw]) -> bytes:
    return b"{" + b",".join([b"%b:%b" % (msgspec.json.encode(name), value) for name, value in fields.items()]) + b"}"
