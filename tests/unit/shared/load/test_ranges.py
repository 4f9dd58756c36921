"""An object is divided only where its ranges hold the records of the whole."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.load import ranges
from shared.sources.files import SourceReader
from shared.sources.records import Record, Unreadable
from shared.tables.loads import Layout

EVENTS = [{"id": number, "user": f"user-{number}", "text": "x" * (number % 40)} for number in range(200)]
ROWS = [f"{each['id']},{each['user']},{each['text']}" for each in EVENTS]
LINES = "".join(json.dumps(each) + "\n" for each in EVENTS)
CSV = "id,user,text\n" + "".join(f"{row}\n" for row in ROWS)


def read(data: bytes, name: str = "events") -> Iterable[Record | Unreadable]:
    return SourceReader([None], columns={"id": "integer", "user": "string"}, stdin=io.BytesIO(data), stdin_name=name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LINES, ranges.Division("json_lines")),
        ("\ufeff" + LINES, ranges.Division("json_lines")),
        (CSV, ranges.Division("rows", 13)),
        (CSV.replace("\n", "\r\n"), ranges.Division("rows", 14)),
        ("\n\n" + CSV, ranges.Division("rows", 15)),
        ("exported by a tool\n" + CSV, ranges.Division("rows", 32)),
        (CSV.replace(",", ";"), ranges.Division("rows", 13)),
        (CSV.replace(",", "\t"), ranges.Division("rows", 13)),
        (CSV.replace("\n", "\r"), ranges.WHOLE),
        (json.dumps(EVENTS), ranges.WHOLE),
        (json.dumps(EVENTS, indent=1), ranges.WHOLE),
        ("".join(json.dumps(each, indent=1) + "\n" for each in EVENTS), ranges.WHOLE),
        (LINES.replace("}\n", "} "), ranges.WHOLE),
        (LINES.replace("}\n{", "}{", 1), ranges.Division("json_lines")),
        ("", ranges.WHOLE),
        ("one line without an end", ranges.WHOLE),
    ],
)
def test_the_layout_is_concluded_from_the_beginning(text: str, expected: ranges.Division) -> None:
    assert ranges.division(text.encode(), read) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_characters_are_not_divided(encoding: str) -> None:
    for text in (LINES, CSV):
        assert ranges.division(text.encode(encoding), read) == ranges.WHOLE


def test_an_access_log_is_divided_although_its_lines_have_quotes() -> None:
    line = '10.0.0.1 - - [15/Jan/2024:00:00:00 +0000] "GET /{} HTTP/1.1" 200 1\n'
    log = "".join(map(line.format, range(100))).encode()

    assert ranges.division(log, read, access_log=True) == ranges.Division("access_log")
    assert ranges.start_of_range(log, 10, "access_log") == log.find(b"\n") + 1


@pytest.mark.parametrize(
    ("size", "range_bytes", "expected"),
    [(0, 10, []), (10, 10, []), (11, 10, [10]), (30, 10, [10, 20]), (10**15, 10, None)],
)
def test_an_object_has_a_bounded_number_of_ranges(size: int, range_bytes: int, expected: list[int] | None) -> None:
    found = ranges.candidates(size, range_bytes)

    assert len(found) < ranges.MAX_RANGES
    assert expected is None or list(found) == expected


@pytest.mark.parametrize("layout", ["json_lines", "rows"])
def test_a_range_starts_behind_a_line_end(layout: Layout) -> None:
    assert ranges.start_of_range(b"first\nsecond\nthird", 3, layout) == 6
    assert ranges.start_of_range(b"first\nsecond\nthird", 6, layout) == 13
    assert ranges.start_of_range(b"first\nsecond\nthird", 14, layout) is None


def test_a_row_may_contain_the_line_end_after_a_quote() -> None:
    assert ranges.start_of_range(b'a,"b\nc",d\ne,f\n', 6, "rows") is None
    assert ranges.start_of_range(b'a,"b\nc",d\ne,f\n', 6, "json_lines") == 10


cells = st.text(st.sampled_from('ab"\n\r,;'), max_size=6)


@given(st.lists(st.tuples(cells, cells), min_size=4, max_size=40), st.integers(0, 400))
def test_ranges_of_rows_hold_the_records_of_the_whole(rows: list[tuple[str, str]], at: int) -> None:
    """The rows are divided at one place, if it is possible there; stray quotes and line ends occur everywhere."""
    data = ("id,user\n" + "".join(f"{first},{second}\n" for first, second in rows)).encode()
    start = ranges.start_of_range(data, min(at, len(data)), "rows")
    if ranges.division(data, read).layout != "rows" or start is None or start >= len(data):
        return

    whole = [(type(item), item.raw) for item in read(data)]
    divided = [(type(item), item.raw) for part in (data[:start], b"id,user\n" + data[start:]) for item in read(part)]

    assert divided == whole
