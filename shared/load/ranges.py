"""Where an object may be divided, so that its ranges hold the same records as the whole. Pure.

The reader of files decides, not a second parser: a sample from the beginning is read as a whole, and its second half
once more as a range would be. Only where both give the same records, the object is divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from shared.errors import SourceError
from shared.sources.csv_reader import MAX_ROW_BYTES
from shared.sources.records import Record, Unreadable
from shared.tables.loads import Layout

# Bytes at the beginning of an object from which its layout is concluded.
SAMPLE_BYTES = 64 << 10
# The most ranges of an object. The largest object has 5 TiB (https://cloud.google.com/storage/quotas#objects).
MAX_RANGES = 1_000
# Bytes around a possible start of a range. Without a quote in so many bytes before it, no row can contain it: a row
# above `MAX_ROW_BYTES` is unreadable, and the reader goes on at its second line.
LOOK_BEHIND_BYTES, LOOK_AHEAD_BYTES = MAX_ROW_BYTES, 64 << 10
# Precedes a range of JSON lines, so that a damaged first line of the range isn't taken for the layout of the file.
JSON_LINES_PREFIX = b"{}\n"

# Compressed formats: gzip, Zstandard, bzip2.
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh")
_UTF8_MARK = b"\xef\xbb\xbf"
_MAX_HEADER_LINES = 20

ReadSample = Callable[[bytes], Iterable[Record | Unreadable]]


class Division(NamedTuple):
    """How an object may be divided.

    Attributes:
        layout: how its ranges are read.
        header_bytes: bytes at its beginning that precede the data of every range but the first.
    """

    layout: Layout
    header_bytes: int = 0


WHOLE = Division("whole")


def candidates(size: int, range_bytes: int) -> range:
    """Return the bytes near which the second and each further range may start."""
    return range(max(range_bytes, -(-size // MAX_RANGES)), size, max(range_bytes, -(-size // MAX_RANGES)))


def division(sample: bytes, read: ReadSample, *, access_log: bool = False) -> Division:
    """Return how an object may be divided.

    Args:
        sample: the beginning of the object.
        read: reads the records of a file with the name of the object.
        access_log: whether the object is an access log, whose records contain quotes and no line ends.
    """
    sample = sample[: sample.rfind(b"\n") + 1]
    text = sample.removeprefix(_UTF8_MARK).lstrip()
    # Binary formats, and text in UTF-16, where a line end has two bytes, contain zero bytes.
    if sample.startswith(_COMPRESSED) or text.startswith(b"[") or b"\0" in sample:
        return WHOLE
    half = sample.find(b"\n", len(sample) // 2) + 1
    rest = sample[half:]
    if not rest:
        return WHOLE
    whole = _contents(read, sample)
    if text.startswith(b"{"):
        found = _contents(read, JSON_LINES_PREFIX + rest)[1:]
        return Division("json_lines") if _ends_with(whole, found) else WHOLE
    if access_log:
        return Division("access_log") if _ends_with(whole, _contents(read, rest)) else WHOLE
    end = 0
    for _ in range(_MAX_HEADER_LINES):
        if end < half and _ends_with(whole, _contents(read, sample[:end] + rest)):
            return Division("rows", end)
        end = sample.find(b"\n", end) + 1
    return WHOLE


def start_of_range(window: bytes, at: int, layout: Layout) -> int | None:
    """Return the position in a window where a range may start; None if there is none.

    Args:
        window: bytes of the object, from `LOOK_BEHIND_BYTES` before the wanted start to `LOOK_AHEAD_BYTES` after it.
        at: the position of the wanted start in the window.
        layout: of the object. A row may contain line ends in quotes.
    """
    start = window.find(b"\n", at) + 1
    if not start or (layout == "rows" and b'"' in window[:start]):
        return None
    return start


def _contents(read: ReadSample, data: bytes) -> list[bytes]:
    """Return the bytes of all records; none of a file that can't be read, for example with a wrong header."""
    try:
        return [item.raw for item in read(data)]
    except SourceError:
        return []


def _ends_with(whole: list[bytes], found: list[bytes]) -> bool:
    return 0 < len(found) < len(whole) and whole[-len(found) :] == found
