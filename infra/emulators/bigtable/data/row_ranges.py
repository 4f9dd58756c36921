"""The row keys of a request, as ranges in order that don't overlap."""

from __future__ import annotations

from typing import Any

from infra.emulators.bigtable.storage.cell_table import KeyRange
from infra.emulators.errors import invalid

ALL_KEYS = KeyRange(b"", None)


def key_ranges(rows: Any, *, descending: bool = False) -> list[KeyRange]:
    """Return the ranges of a `RowSet`; without keys and ranges it has all rows.

    Raises:
        ApiError: INVALID_ARGUMENT; a row key is empty, or the start of a range is after its end.
    """
    if not rows.row_keys and not rows.row_ranges:
        return [ALL_KEYS]
    ranges = [_key_range(index, each) for index, each in enumerate(rows.row_ranges)]
    for key in rows.row_keys:
        if not key:
            raise invalid("rows.row_keys: found an empty key, expected 1 byte or more")
        ranges.append(KeyRange(key, key + b"\0"))
    union = _union([each for each in ranges if each.end is None or each.start < each.end])
    return union[::-1] if descending else union


def _key_range(index: int, message: Any) -> KeyRange:
    """Return a `RowRange`; an open start or a closed end becomes the next possible key."""
    start, end = message.start_key_closed, None
    if message.WhichOneof("start_key") == "start_key_open" and message.start_key_open:
        start = message.start_key_open + b"\0"
    kind = message.WhichOneof("end_key")
    bound = getattr(message, kind) if kind else b""
    if bound:
        end = bound + b"\0" if kind == "end_key_closed" else bound
        first = message.start_key_closed or message.start_key_open
        if first > bound:
            raise invalid(f"rows.row_ranges[{index}]: found start {first!r} after end {bound!r}, expected it before")
    return KeyRange(start, end)


def _union(ranges: list[KeyRange]) -> list[KeyRange]:
    """Join ranges that overlap. Single keys that adjoin stay separate: each is one look-up."""
    union: list[KeyRange] = []
    for each in sorted(ranges, key=lambda keys: keys.start):
        last = union[-1] if union else None
        if last is None or (last.end is not None and each.start >= last.end):
            union.append(each)
        elif last.end is not None and (each.end is None or each.end > last.end):
            union[-1] = KeyRange(last.start, each.end)
    return union
