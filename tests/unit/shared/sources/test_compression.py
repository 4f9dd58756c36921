"""Compressed files are read frame after frame, and what precedes damage is kept."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SourceError
from shared.sources.compression import decompressed
from shared.sources.files import Record, SourceReader, Unreadable

Compress = Callable[[bytes], bytes]


def _zstd_stream(data: bytes) -> bytes:
    """Compress as a pipe does: the frame doesn't have the size of its content."""
    frame = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return frame.compress(data) + frame.flush()


SKIPPABLE = b"\x53\x2a\x4d\x18\x05\x00\x00\x00notes"
COMPRESS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd from a pipe": _zstd_stream,
    "zstd with a skippable frame": lambda data: SKIPPABLE + zstandard.compress(data),
}
ROWS = b"n\n" + b"".join(b"%d\n" % number for number in range(40_000))


def text_of(data: bytes) -> bytes:
    with ExitStack() as stack:
        return decompressed(io.BytesIO(data).read, "file", stack).read()


@pytest.mark.parametrize("name", COMPRESS)
def test_concatenated_streams_are_one_file(name: str) -> None:
    compress = COMPRESS[name]

    assert text_of(compress(b"n\n") + compress(b"") + compress(b"1\n2\n")) == b"n\n1\n2\n"


@pytest.mark.parametrize("name", COMPRESS)
@given(pieces=st.lists(st.integers(0, 300_000).flatmap(lambda size: st.sampled_from([size, -size])), max_size=3))
def test_data_of_any_kind_is_read_back(name: str, pieces: list[int]) -> None:
    source = random.Random(1)
    texts = [source.randbytes(size) if size > 0 else b"\0" * -size for size in pieces]

    assert text_of(b"".join(map(COMPRESS[name], texts)) or b"n") == (b"".join(texts) if texts else b"n")


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("damage", ["cut", "changed", "cut in the second stream", "followed by other data"])
def test_rows_before_damage_are_kept_and_the_damage_is_reported(name: str, damage: str) -> None:
    compress = COMPRESS[name]
    whole = compress(ROWS)
    data = {
        "cut": whole[: len(whole) * 9 // 10],
        "changed": whole[:-40] + b"\xff" * 40,
        "cut in the second stream": whole + compress(ROWS[2:])[:30],
        "followed by other data": whole + b"no frame of this kind, and long enough to be noticed",
    }[damage]

    found = list(SourceReader([None], stdin=io.BytesIO(data), stdin_name="rows.csv"))

    assert all(isinstance(item, Record) for item in found[:-1])
    assert [item.raw for item in found[:3]] == [b'{"n":"0"}', b'{"n":"1"}', b'{"n":"2"}'] or len(found) == 1
    assert isinstance(found[-1], Unreadable)
    assert "found damaged data" in found[-1].problem
    if damage in ("cut in the second stream", "followed by other data"):
        assert len(found) == 40_001


def test_the_window_of_a_frame_is_limited() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj().compress(b"n\n1\n")
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = frame.compress(b"n\n1\n") + frame.flush()

    [item] = SourceReader([None], stdin=io.BytesIO(data), stdin_name="rows.csv")

    assert isinstance(item, Unreadable)
    assert "Frame requires too much memory" in item.problem


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"PK\x03\x04", "a ZIP archive or a spreadsheet"), (b"\xfd7zXZ\x00", "xz data"), (b"\x04\x22\x4d\x18", "LZ4")],
)
def test_other_archives_are_an_error_with_their_kind(start: bytes, kind: str) -> None:
    with pytest.raises(SourceError, match=f"events: found {kind}.*, expected text, plain or as .gz, .bz2 or .zst"):
        list(SourceReader([None], stdin=io.BytesIO(start + b"..."), stdin_name="events"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(SourceError, match=r"^rows: found Zstandard data, expected the package: pip install zstandard$"):
        list(SourceReader([None], stdin=io.BytesIO(zstandard.compress(b"n\n")), stdin_name="rows"))
