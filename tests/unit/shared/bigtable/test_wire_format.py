"""Fields in the wire format are those of Google's package, and other bytes are refused."""

from __future__ import annotations

import pytest
from google.cloud.bigtable_v2.types import MutateRowsResponse
from hypothesis import given
from hypothesis import strategies as st

from shared.bigtable.wire_format import WireFormatError, bytes_field, read_fields, varint_field
from tests.support.read_rows_answers import Chunk


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=300), st.lists(st.text(max_size=3), max_size=3))
def test_fields_are_read_as_google_writes_them(micros: int, value: bytes, labels: list[str]) -> None:
    data = Chunk(timestamp_micros=micros, value=value, labels=labels).SerializeToString()

    expected = [(4, micros, b"")] if micros else []
    expected += [(5, 0, label.encode()) for label in labels]
    expected += [(6, 0, value)] if value else []
    assert list(read_fields(data)) == expected


@given(st.integers(0, 2**63 - 1), st.binary(max_size=300))
def test_google_reads_the_fields_that_are_written(micros: int, value: bytes) -> None:
    chunk = Chunk.FromString(varint_field(4, micros) + bytes_field(6, value))

    assert (chunk.timestamp_micros, chunk.value) == (micros, value)


def test_fields_of_fixed_size_are_skipped() -> None:
    assert list(read_fields(b"\x09" + b"8" * 8 + b"\x15" + b"4" * 4 + b"\x18\x05")) == [
        (1, 0, b""),
        (2, 0, b""),
        (3, 5, b""),
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff", "an integer that isn't complete"),
        (b"\x08", "an integer that isn't complete"),
        (b"\x08" + b"\xff" * 11, "an integer that isn't complete"),
        (b"\x0a\x05abc", "a field that isn't complete"),
        (b"\x09abc", "a field that isn't complete"),
        (b"\x0b", "a field of type 3"),
    ],
)
def test_other_bytes_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(WireFormatError, match=f"^{problem}$"):
        list(read_fields(data))


@given(st.binary(max_size=40))
def test_google_refuses_what_is_refused(data: bytes) -> None:
    try:
        list(read_fields(data))
    except WireFormatError as error:
        if "type" not in str(error):  # Google's package still reads groups, types 3 and 4
            with pytest.raises(Exception, match=r"[Ee]rror parsing"):
                MutateRowsResponse.pb().FromString(data)
