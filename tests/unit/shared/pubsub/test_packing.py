"""Data above the limit of a message is compressed; what is still too large is refused with its size."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime

import pytest

from shared.pubsub.message import LINES, MAX_PACKED_BYTES, MAX_UNPACKED_BYTES, Message, unpack
from shared.pubsub.packing import MessageTooLargeError, fit

NOON = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)
INCOMPRESSIBLE = b'"' + os.urandom(MAX_PACKED_BYTES).hex().encode() + b'"'


def test_data_up_to_the_limit_is_unchanged() -> None:
    data = b"x" * MAX_PACKED_BYTES

    assert fit(data, {"a": "b"}) == (data, {"a": "b"})


@pytest.mark.parametrize("attributes", [{}, {"content-type": LINES}, {"content-encoding": "identity"}])
def test_larger_data_is_compressed_and_unpacks_to_the_same_events(attributes: dict[str, str]) -> None:
    events = [b'{"text":"%s"}' % (b"x" * MAX_PACKED_BYTES), b"{}"]

    data, declared = fit(b"\n".join(events), attributes)

    assert len(data) < MAX_PACKED_BYTES
    assert declared == {**attributes, "content-encoding": "gzip"}
    assert unpack(Message(data, "1", NOON, declared)) == events


@pytest.mark.parametrize(
    "data",
    [INCOMPRESSIBLE, gzip.compress(INCOMPRESSIBLE), b"x" * (MAX_UNPACKED_BYTES + 1)],
    ids=["incompressible", "gzip", "above the limit of unpacked data"],
)
def test_data_that_fits_into_no_message_is_refused_with_its_size(data: bytes) -> None:
    with pytest.raises(MessageTooLargeError, match=f"found {len(data):,} bytes, expected an event of at most 262,144"):
        fit(data, {})


def test_gzip_is_not_compressed_again() -> None:
    """Gzip of zeros would fit, but the function decompresses only once."""
    data = gzip.compress(bytes(300 * MAX_PACKED_BYTES * 4))
    assert len(data) > MAX_PACKED_BYTES

    with pytest.raises(MessageTooLargeError):
        fit(data, {})
