"""Plans the load of an object: one range, or several that instances load side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from shared.load import ranges
from shared.load.objects import ObjectInfo, ReadRange
from shared.pubsub.load_requests import ObjectVersion
from shared.sources.records import Record, Unreadable
from shared.tables.loads import Load


def plan(
    object: ObjectVersion,
    info: ObjectInfo,
    read: ReadRange,
    read_sample: Callable[..., Iterable[Record | Unreadable]],
    *,
    access_log: Callable[[bytes], bool],
    range_bytes: int,
    started: datetime,
) -> Load:
    """Return how an object is loaded.

    Args:
        object: the object.
        info: its size and age.
        read: reads bytes of the object.
        read_sample: reads the records of a file with the name of the object and a `layout`.
        access_log: returns whether a file with this name and beginning is an access log.
        range_bytes: the size of a range, and the largest object that isn't divided.
        started: the current time.

    Raises:
        ObjectMissingError, SettingsError, StoreUnavailableError: like `read`.
    """
    whole = Load(object, info.size, info.created, started, [0])
    wanted = ranges.candidates(info.size, range_bytes)
    if not wanted:
        return whole
    sample = read(0, min(ranges.SAMPLE_BYTES, info.size))
    is_log = access_log(sample)
    read_as = partial(read_sample, layout="access_log" if is_log else "whole")
    division = ranges.division(sample, read_as, access_log=is_log)
    if division.layout == "whole":
        return whole
    starts = [0]
    behind = ranges.LOOK_BEHIND_BYTES if division.layout == "rows" else 0
    for start in wanted:
        begin = max(start - behind, 0)
        window = read(begin, min(start + ranges.LOOK_AHEAD_BYTES, info.size))
        found = ranges.start_of_range(window, start - begin, division.layout)
        if found is not None and starts[-1] < begin + found < info.size:
            starts.append(begin + found)
    return Load(object, info.size, info.created, started, starts, division.layout, division.header_bytes)
