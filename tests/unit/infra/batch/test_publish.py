"""Events are packed into messages as large as a message may be, and what fits into none is told."""

from __future__ import annotations

import gzip
import io
import os

import pytest

from infra.batch.publish import _messages
from infra.batch.report import Report
from infra.sources.files import SourceReader
from shared.pubsub.message import MAX_PACKED_BYTES, pack


def packed(data: bytes, batch_size: int) -> tuple[list[tuple[bytes, int]], Report]:
    report = Report()
    reader = SourceReader([None], format="json", stdin=io.BytesIO(data))
    return [(message.data, events) for message, events in _messages(reader, report, batch_size)], report


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_message_holds_as_many_events_as_asked_for(size: int) -> None:
    events = [b'{"n":%d}' % number for number in range(7)]

    messages, _ = packed(b"\n".join(events), size)

    assert messages == [(b"\n".join(events[at : at + size]), len(events[at : at + size])) for at in range(0, 7, size)]


def test_a_message_is_filled_to_its_bytes_and_the_rest_goes_into_the_next() -> None:
    third = MAX_PACKED_BYTES // 3
    sizes = [third - 1, third - 1, third, third, *[10] * 9, MAX_PACKED_BYTES - 1, 10, MAX_PACKED_BYTES]
    events = [b'"' + b"x" * (size - 2) + b'"' for size in sizes]

    messages, report = packed(b"".join(event + b"\n" for event in events), 5)

    assert messages == [(b"\n".join(batch), len(batch)) for batch in pack(events, max_events=5)]
    assert [events for _, events in messages] == [3, 5, 5, 1, 1, 1]
    assert report.unreadable_count == 0


def test_an_event_larger_than_a_message_is_compressed_or_told() -> None:
    soft = b'"' + b"x" * MAX_PACKED_BYTES + b'"'
    hard = b'"' + os.urandom(MAX_PACKED_BYTES).hex().encode() + b'"'

    messages, report = packed(b"\n".join([b"1", soft, hard, b"2"]), 100)

    assert [(events, len(data) <= MAX_PACKED_BYTES) for data, events in messages] == [(1, True)] * 3
    assert [gzip.decompress(data) if data[:1] == b"\x1f" else data for data, _ in messages] == [b"1", soft, b"2"]
    assert report.unreadable == [f"stdin:3: found {len(hard):,} bytes, expected an event of at most 262,144"]
