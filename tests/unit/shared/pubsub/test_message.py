"""Pub/Sub messages: read from any body of a request, unpacked into events, and packed."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.pubsub.message import (
    FIRST_PUBLISHED,
    MAX_UNPACKED_BYTES,
    Message,
    UnpackError,
    receive,
    split,
    unpack,
)
from shared.pubsub.packing import pack
from tests.support.small_messages import json_values

DATA = Path(__file__).parents[3] / "data"
NOON = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)

objects = st.dictionaries(st.text(max_size=5), json_values, max_size=4).map(msgspec.json.encode)


def message(data: bytes, **attributes: str) -> Message:
    return Message(data, "1", NOON, {name.replace("_", "-"): value for name, value in attributes.items()})


def body(**changes: Any) -> dict[str, Any]:
    fields = {
        "data": base64.b64encode(b'{"a":1}').decode(),
        "attributes": {"origin": "web"},
        "messageId": "77",
        "publishTime": "2024-01-15T12:00:00Z",
        **changes,
    }
    return {"message": {key: value for key, value in fields.items() if value is not ...}, "subscription": "s"}


def unpack_or_reason(received: Message) -> list[bytes] | str:
    """Return the events, or the reason of the UnpackError."""
    try:
        return unpack(received)
    except UnpackError as error:
        return error.reason


def is_now(moment: datetime) -> bool:
    return abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


# Messages of Google Cloud


def test_a_message_of_google_cloud_is_received() -> None:
    sent = json.loads((DATA / "pubsub_message.json").read_text("utf-8"))

    received = receive(sent, {"id": "ce", "time": "2001-01-01T00:00:00Z"})

    assert received == Message(
        data=received.data,
        message_id="11260433825339102",
        published=datetime(2024, 1, 15, 12, 34, 56, 789_000, tzinfo=UTC),
        attributes={"content-encoding": "gzip"},
    )
    events = [json.loads(raw) for raw in unpack(received)]
    assert [event["event_id"] for event in events] == ["evt-000001", "evt-000002", "evt-000003"]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("attributes", "message_attributes", "expected"),
    [
        ({"traceparent": TRACE}, {}, TRACE),
        ({}, {"googclient_traceparent": TRACE}, TRACE),
        ({"traceparent": TRACE}, {"googclient_traceparent": "other"}, TRACE),
        ({"traceparent": 7}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_traceparent_of_a_message(
    attributes: dict[str, Any], message_attributes: dict[str, str], expected: str | None
) -> None:
    assert receive(body(attributes=message_attributes), attributes).traceparent == expected
    assert receive("no message", {"traceparent": TRACE}).traceparent == TRACE


# Nested deeper than any decoder accepts.
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"messageId": ..., "message_id": "88"}, "88"),
        ({"messageId": 99}, "99"),
        ({"messageId": ...}, "ce"),
        ({"messageId": ""}, "ce"),
    ],
)
def test_the_id_of_the_message_precedes_that_of_the_cloud_event(changes: dict[str, Any], expected: str) -> None:
    assert receive(body(**changes), {"id": "ce"}).message_id == expected


@pytest.mark.parametrize(
    ("changes", "fallback", "published"),
    [
        ({}, None, NOON),
        ({"publishTime": "2024-01-15T12:00:00.123456789Z"}, None, NOON.replace(microsecond=123_456)),
        ({"publishTime": ..., "publish_time": "2024-01-15T13:00:00Z"}, None, NOON.replace(hour=13)),
        ({"publishTime": ...}, "2024-01-15T14:00:00Z", NOON.replace(hour=14)),
        ({"publishTime": "yesterday"}, "2024-01-15T14:00:00Z", NOON.replace(hour=14)),
        ({"publishTime": 5}, "2024-01-15T14:00:00Z", NOON.replace(hour=14)),
        ({"attributes": {FIRST_PUBLISHED: "2024-01-10T00:00:00Z"}}, None, datetime(2024, 1, 10, tzinfo=UTC)),
        ({"attributes": {FIRST_PUBLISHED: "once"}}, None, NOON),
        ({"attributes": {FIRST_PUBLISHED: "1969-12-31T23:59:59Z"}}, None, NOON),  # before the first timestamp of a cell
        ({"attributes": {FIRST_PUBLISHED: 5}}, None, NOON),
    ],
)
def test_the_first_valid_time_is_the_publish_time(
    changes: dict[str, Any], fallback: str | None, published: datetime
) -> None:
    assert receive(body(**changes), {"time": fallback}).published == published


def test_without_a_valid_time_the_publish_time_is_now() -> None:
    assert is_now(receive(body(publishTime=...)).published)


@pytest.mark.parametrize(
    ("attributes", "kept"),
    [
        ({"a": "b"}, {"a": "b"}),
        (None, {}),
        (..., {}),
        ("gzip", {}),
        ({"content-encoding": 5, "a": None, "b": "c"}, {"b": "c"}),
    ],
)
def test_only_text_attributes_are_kept(attributes: Any, kept: dict[str, str]) -> None:
    received = receive(body(attributes=attributes))

    assert received.attributes == kept
    assert unpack(received) == [b'{"a":1}']


@pytest.mark.parametrize(
    ("data", "raw"),
    [("e30=", b"{}"), ("", b""), (..., b""), (None, b""), (base64.b64encode(b"\xff").decode(), b"\xff")],
)
def test_data_is_base64_and_may_be_absent(data: Any, raw: bytes) -> None:
    received = receive(body(data=data))

    assert (received.data, received.problem) == (raw, None)


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ("{}", b"{}"),
        ("e30", b"e30"),  # padding is missing
        ("e3 0=", b"e3 0="),
        ("\u00e9", "\u00e9".encode()),
        ("\ud800", b"\xed\xa0\x80"),
        (5, b"5"),
        ({"a": 1}, b'{"a":1}'),
        ([1], b"[1]"),
    ],
)
def test_invalid_base64_is_kept_with_a_problem(data: Any, kept: bytes) -> None:
    received = receive(body(data=data))

    assert (received.data, received.problem) == (kept, "data in base64")
    with pytest.raises(UnpackError, match="expected data in base64") as caught:
        unpack(received)
    assert caught.value.reason == "not_json"


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (None, b"null"),
        ({"message": None}, b'{"message":null}'),
        ({"data": "e30="}, b'{"data":"e30="}'),
        ([1, 2], b"[1,2]"),
        ("text", b"text"),
        (b"bytes", b"bytes"),
        ({"a": "\ud800"}, b"<class 'dict'>"),
    ],
)
def test_a_body_that_is_no_pubsub_message_is_kept_with_a_problem(content: Any, kept: bytes) -> None:
    received = receive(content, {"id": "ce", "time": "2024-01-15T12:00:00Z"})

    assert received == Message(kept, "ce", NOON, problem="an object with a Pub/Sub message")
    with pytest.raises(UnpackError) as caught:
        unpack(received)
    assert caught.value.reason == "not_json"


pubsub_like = st.fixed_dictionaries(
    {},
    optional={
        "data": json_values | st.binary(max_size=20).map(lambda raw: base64.b64encode(raw).decode()),
        "attributes": json_values
        | st.dictionaries(st.sampled_from(["content-encoding", FIRST_PUBLISHED]), json_values | st.just("gzip")),
        "messageId": json_values,
        "publishTime": json_values,
    },
)


@given(json_values | st.fixed_dictionaries({"message": json_values | pubsub_like}))
def test_any_body_gives_a_message_that_unpacks_or_raises(content: Any) -> None:
    received = receive(content, {"id": "ce"})

    assert isinstance(received.data, bytes)
    assert received.published >= datetime(1970, 1, 1, tzinfo=UTC)
    events = unpack_or_reason(received)
    assert events in ("not_json", "too_large") or all(isinstance(event, bytes) for event in events)


# Events in a message


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b'{"a":1}', [b'{"a":1}']),
        (b' \r\n{"a":1}\n\n', [b'{"a":1}']),
        (b'\xef\xbb\xbf{"a":1}', [b'{"a":1}']),
        (b'[{"a":1}, {"a":2} ]', [b'{"a":1}', b'{"a":2}']),
        (b'[\n{"a":1},\n{"a":2}\n]\n', [b'{"a":1}', b'{"a":2}']),
        (b"[]", []),
        (b"[[]]", [b"[]"]),
        (b'[1, "x", null]', [b"1", b'"x"', b"null"]),
        (b'{"a":1}\n{"a":2}', [b'{"a":1}', b'{"a":2}']),
        (b'{"a":1}\r\n\r\n  {"a":2}  \r\n', [b'{"a":1}', b'{"a":2}']),
        (b'{\n  "a": 1\n}', [b'{\n  "a": 1\n}']),  # one object over several lines
        (b'{"a":1}\n{"a":\n{"a":2}', [b'{"a":1}', b'{"a":', b'{"a":2}']),  # an invalid line keeps the others
        (b'nonsense\n{"a":1}', [b"nonsense", b'{"a":1}']),
        (b'[1]\n{"a":1}', [b"[1]", b'{"a":1}']),
        (b'[{"a":1}, {"a"', [b'[{"a":1}, {"a"']),
        (b"nonsense", [b"nonsense"]),
        (b"", [b""]),
        (b"\xff\xfe", [b"\xff\xfe"]),
        (b"[" * 100_000, [b"[" * 100_000]),
        (b"{" * 100_000 + b"\n1", [b"{" * 100_000, b"1"]),
        (b"[1, " + DEEP + b' , {"a": "]"}]', [b"1", DEEP, b'{"a": "]"}']),  # a value nested too deep keeps the others
        (b"[1, " + DEEP + b",]", [b"[1, " + DEEP + b",]"]),
    ],
)
def test_events_are_split(data: bytes, events: list[bytes]) -> None:
    assert split(data) == events


@given(st.lists(objects, min_size=1, max_size=8), st.booleans())
def test_packed_events_unpack_unchanged(events: list[bytes], zipped: bool) -> None:
    for batch in pack(events, max_events=3):
        joined = b"\n".join(batch)
        sent = message(gzip.compress(joined, mtime=0), content_encoding="gzip") if zipped else message(joined)

        assert unpack(sent) == batch


@given(st.lists(objects, min_size=1, max_size=8))
def test_an_array_unpacks_to_its_elements(events: list[bytes]) -> None:
    assert unpack(message(b"[" + b",".join(events) + b"]")) == events


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=20), st.integers(1, 5), st.integers(1, 60))
def test_packing_keeps_all_events_and_its_limits(events: list[bytes], max_events: int, max_bytes: int) -> None:
    batches = list(pack(events, max_events=max_events, max_bytes=max_bytes))

    assert [event for batch in batches for event in batch] == events
    for batch in batches:
        assert 1 <= len(batch) <= max_events
        assert len(batch) == 1 or len(b"\n".join(batch)) < max_bytes
    for batch, following in itertools.pairwise(batches):  # no batch is smaller than necessary
        assert len(batch) == max_events or sum(map(len, batch)) + len(batch) + len(following[0]) + 1 > max_bytes


# gzip


@pytest.mark.parametrize("data", [b'{"a":1}', b'{"a":1}\n{"a":2}', b'[{"a":1}]'])
@pytest.mark.parametrize("attributes", [{}, {"content_encoding": "gzip"}, {"content_encoding": "GZIP"}])
def test_gzip_is_unpacked_with_and_without_its_encoding_attribute(data: bytes, attributes: dict[str, str]) -> None:
    assert unpack(message(gzip.compress(data, mtime=0), **attributes)) == unpack(message(data))


def test_gzip_may_have_several_members_and_padding() -> None:
    data = gzip.compress(b'{"a":1}\n', mtime=0) + b"\0\0" + gzip.compress(b'{"a":2}\n', mtime=0) + b"\0\0\0"

    assert unpack(message(data)) == [b'{"a":1}', b'{"a":2}']


def test_gzip_of_many_members_is_read_in_time_linear_in_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    decompressobj = zlib.decompressobj
    read = 0

    class Member:
        """A member that counts the bytes it is given: zlib copies those that it leaves unused."""

        def __init__(self, wbits: int) -> None:
            self._member = decompressobj(wbits=wbits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            nonlocal read
            read += len(data)
            return self._member.decompress(data, limit)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._member, name)

    def bytes_read(members: int) -> int:
        nonlocal read
        read = 0
        assert unpack(message(gzip.compress(b"", mtime=0) * members)) == [b""]
        return read

    monkeypatch.setattr(zlib, "decompressobj", Member)

    assert 1.9 < bytes_read(10_000) / bytes_read(5_000) < 2.1


def test_an_unknown_encoding_is_read_as_plain() -> None:
    assert unpack(message(b"{}", content_encoding="identity")) == [b"{}"]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'{"a":1}', "invalid gzip"),
        (b"\x1f\x8bnonsense", "invalid gzip"),
        (gzip.compress(b'{"a":1}', mtime=0)[:-4], "truncated gzip"),
        (gzip.compress(b'{"a":1}', mtime=0) + b"tail", "invalid gzip"),
        (gzip.compress(b'{"a":1}', mtime=0)[:-8] + b"\0" * 8, "invalid gzip"),  # the check sum is wrong
    ],
)
def test_invalid_gzip(data: bytes, found: str) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(message(data, content_encoding="gzip"))

    assert (caught.value.reason, caught.value.found) == ("not_json", found)


def test_empty_data_with_gzip_encoding_is_one_empty_event() -> None:
    assert unpack(message(b"", content_encoding="gzip")) == [b""]


# Size


@pytest.mark.parametrize("pieces", [1, 3])
def test_data_of_the_maximum_size_is_unpacked(pieces: int) -> None:
    filler = b"x" * (MAX_UNPACKED_BYTES // pieces)
    filler_rest = b"x" * (MAX_UNPACKED_BYTES - len(filler) * pieces)

    assert len(unpack(message(filler * pieces + filler_rest))[0]) == MAX_UNPACKED_BYTES
    zipped = gzip.compress(filler, 1, mtime=0) * pieces + gzip.compress(filler_rest, 1, mtime=0)
    assert len(unpack(message(zipped))[0]) == MAX_UNPACKED_BYTES


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"x" * (MAX_UNPACKED_BYTES + 1), "4194305 bytes"),
        (gzip.compress(b"x" * (MAX_UNPACKED_BYTES + 1), 1, mtime=0), "gzip of over 4194304 bytes"),
        (
            gzip.compress(b"x" * MAX_UNPACKED_BYTES, 1, mtime=0) + gzip.compress(b"x", mtime=0),
            "gzip of over 4194304 bytes",
        ),
    ],
)
def test_data_above_the_maximum_size_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(message(data))

    assert (caught.value.reason, caught.value.found) == ("too_large", found)
    assert caught.value.expected == "at most 4194304 bytes"
    assert str(caught.value) == f"too_large: found {found}, expected at most 4194304 bytes"


@given(st.binary(max_size=40))
@example(b"\x1f\x8b")
@example(b"\xef\xbb\xbf[")
def test_any_data_unpacks_or_raises(data: bytes) -> None:
    events = unpack_or_reason(message(data))

    assert events == "not_json" or all(isinstance(event, bytes) and event == event.strip() for event in events)


@pytest.mark.parametrize(
    "line", [b'[{"a": 1}]', b"\x1f\x8b\x08", b"\xef\xbb\xbf{}", b'{"a":', b"{}", b"nonsense", b'  {"a": 1} ']
)
@pytest.mark.parametrize("others", [0, 3])
def test_declared_lines_are_unpacked_unchanged(line: bytes, others: int) -> None:
    # the line could be read as an array, gzip or a part of an object; it is alone or among others
    lines = [line, *[b"1}"] * others]

    found = unpack(Message(b"\n".join(lines), "1", NOON, {"content-type": "application/x-ndjson"}))

    assert found == lines


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}\n' * 10_001,
        b"[" + b",".join([b"1"] * 10_001) + b"]",
        b"[" + b"1," * 1_000_000 + b"1]",
        b"1" + b"\n" * 1_000_000 + b"1",
        b"{}\n" * 1_000_000,
    ],
    ids=["lines", "array", "long-array", "newlines", "long-lines"],
)
def test_a_message_with_too_many_events_is_refused(data: bytes) -> None:
    """Millions of tiny events would take more memory than an instance has."""
    with pytest.raises(UnpackError, match="expected at most 10000 events") as refused:
        unpack(message(data))
    assert refused.value.reason == "too_large"


def test_the_maximum_number_of_events_is_unpacked() -> None:
    assert unpack(message(b'{"a":1}\n' * 10_000)) == [b'{"a":1}'] * 10_000
