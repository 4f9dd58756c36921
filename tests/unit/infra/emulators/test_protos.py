"""The protobuf messages of the emulators have the field names, numbers and types of Google's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import scheduler_v1
from google.protobuf.descriptor import FieldDescriptor
from google.pubsub_v1 import types as pubsub_v1
from google.rpc.status_pb2 import Status

from infra.emulators.protos import pubsub_pb2, scheduler_pb2


def _pairs() -> Iterator[tuple[Any, Any]]:
    for module, google in ((pubsub_pb2, pubsub_v1), (scheduler_pb2, scheduler_v1.types)):
        for name, descriptor in module.DESCRIPTOR.message_types_by_name.items():
            kind = Status if name == "Status" else getattr(google, name)
            yield from _nested(descriptor, getattr(kind, "pb", lambda kind=kind: kind)().DESCRIPTOR)


def _nested(own: Any, google: Any) -> Iterator[tuple[Any, Any]]:
    yield own, google
    for name, nested in own.nested_types_by_name.items():
        yield from _nested(nested, google.nested_types_by_name[name])


def _fields(descriptor: Any, names: set[str]) -> dict[str, tuple[int, int, bool, str | None]]:
    """Return number, type, repetition and oneof; nested messages have the type of bytes, which is also theirs."""
    return {
        field.name: (
            field.number,
            FieldDescriptor.TYPE_BYTES if field.type == FieldDescriptor.TYPE_MESSAGE else field.type,
            field.is_repeated,
            (field.containing_oneof and field.containing_oneof.name.lstrip("_") != field.name) or None,
        )
        for field in descriptor.fields
        if field.name in names
    }


@pytest.mark.parametrize(("own", "google"), list(_pairs()), ids=lambda descriptor: descriptor.full_name)
def test_each_message_has_googles_fields(own: Any, google: Any) -> None:
    names = {field.name for field in own.fields}
    assert _fields(own, names) == _fields(google, names)
    for name, enum in own.enum_types_by_name.items():
        assert set(enum.values_by_number) == set(google.enum_types_by_name[name].values_by_number)
