"""The exported events of a user are those that the aggregates count."""

from __future__ import annotations

from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.export.day_tables import stored_events
from infra.export.day_tables.stored_events import events_of_user, readable_id, slices
from shared.bigtable.row_merger import Row
from shared.tables.user_events import deduplicate


def row(*cells: tuple[str, bytes, bytes], key: bytes = b"00#20240115#u") -> Row:
    """Return a row of (family, qualifier, value)."""
    families, qualifiers, values = (list(column) for column in zip(*cells, strict=True))
    return Row(key, families, qualifiers, [0] * len(cells), values, [()] * len(cells))


def findings(event: bytes, found: str = "[]") -> bytes:
    return b"[%d,%b]" % (crc32(event), found.encode())


cells = st.lists(
    st.tuples(st.sampled_from([b"10", b"20", b"30"]), st.sampled_from([b"a", b"b", b"c"])), min_size=1, unique=True
).map(sorted)


@given(st.lists(cells, min_size=1, max_size=3))
def test_the_events_that_count_are_those_of_the_aggregates(hours: list[list[tuple[bytes, bytes]]]) -> None:
    rows = [
        row(*(("e", b"0000000%02d%b#%b" % (hour, time, id_), b"%d-%b-%b" % (hour, time, id_)) for time, id_ in found))
        for hour, found in enumerate(hours)
    ]

    events = list(events_of_user(rows))
    counted, _, repeated = deduplicate(rows)

    assert [event.value for event in events] == counted
    assert sum(len(event.earlier) for event in events) == repeated
    assert all(event.value.endswith(b"-" + event.event_id.encode()) for event in events)


def test_earlier_versions_are_kept_newest_first() -> None:
    qualifiers = [b"00000000010#a", b"00000000020#a", b"00000000030#a"]

    [event] = events_of_user([row(*(("e", each, each[:11]) for each in qualifiers))])

    assert (event.value, event.earlier) == (b"00000000010", (b"00000000020", b"00000000030"))


def test_findings_belong_to_their_event_and_not_to_an_earlier_body() -> None:
    values = {b"00000000010#a": b"A", b"00000000020#b": b"B"}
    warned = [("f", b"00000000010#a", findings(b"A", '[{"rule":"range"}]')), ("f", b"00000000020#b", findings(b"old"))]

    first, second = events_of_user([row(*warned, *(("e", *each) for each in values.items()))])

    assert msgspec.json.decode(first.findings or b"") == [{"rule": "range"}]
    assert second.findings is None


def test_slices_are_bounded_by_events_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [[row(("e", b"0000000%04d#%d" % (user, user), b"x" * 10))] for user in range(10)]

    for name, bound, sizes in (("MAX_BATCH_ROWS", 4, [4, 4, 2]), ("MAX_BATCH_BYTES", 25, [3, 3, 3, 1])):
        with monkeypatch.context() as patched:
            patched.setattr(stored_events, name, bound)
            assert [len(each) for each in slices(users)] == sizes


def test_an_id_of_one_part_is_readable_and_a_composed_one_unambiguous() -> None:
    assert readable_id("a%20b", 1) == "a b"
    assert readable_id("a%3A:b", 2) == "a%3A:b"
