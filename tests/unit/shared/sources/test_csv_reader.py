"""CSV rows are read as a spreadsheet shows them; an unreadable row does not affect other rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import SourceError
from shared.sources import csv_reader
from shared.sources.csv_cells import ColumnType
from shared.sources.csv_reader import MAX_ROW_BYTES, read_csv
from shared.sources.records import MAX_QUOTED_BYTES, Record, Unreadable


def read(data: bytes, columns: Mapping[str, ColumnType] | None = None) -> list[Record | Unreadable]:
    return list(read_csv(io.BytesIO(data), "events.csv", columns))


def events(data: bytes, columns: Mapping[str, ColumnType] | None = None) -> list[Any]:
    found = read(data, columns)
    assert not [item for item in found if isinstance(item, Unreadable)]
    return [json.loads(item.raw) for item in found]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="empty file"),
        pytest.param(b"\n \r\n\n", [], id="blank lines only"),
        pytest.param(b",,\n", [], id="delimiters only"),
        pytest.param(b"a,b\n", [], id="header only"),
        pytest.param(b"a,b\n1,2\n", [{"a": "1", "b": "2"}], id="plain"),
        pytest.param(b"a,b\n1,2", [{"a": "1", "b": "2"}], id="no newline at the end"),
        pytest.param(b"a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}], id="crlf"),
        pytest.param(
            b"\n\n,,\na,b\n\n1,2\n,\n  \n3,4\n\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], id="empty rows"
        ),
        pytest.param(b"a,b\n,2\n", [{"a": None, "b": "2"}], id="empty cell is null"),
        pytest.param(b"a,b,c\n1\n", [{"a": "1", "b": None, "c": None}], id="missing cells are null"),
        pytest.param(b"a\n1,,3\n", [{"a": "1", "column_3": "3"}], id="surplus cells, when not empty"),
        pytest.param(
            b"a,,c\n1,2,3\n4,,6\n", [{"a": "1", "column_2": "2", "c": "3"}, {"a": "4", "c": "6"}], id="no name"
        ),
        pytest.param(b"column_2\n1,2\n", [{"column_2": "1", "column_2_": "2"}], id="the generated name exists"),
        pytest.param(b'a,b\n"1, ""x""",2\n', [{"a": '1, "x"', "b": "2"}], id="quotes"),
        pytest.param(b'a,b\n"1\r\n\n2",3\n', [{"a": "1\r\n\n2", "b": "3"}], id="embedded newlines"),
        pytest.param(b'a,b\n5" pipe,"x"y\n', [{"a": '5" pipe', "b": "xy"}], id="quotes inside unquoted cells"),
        pytest.param(b" a , b\n 1 , 2\n", [{"a": " 1 ", "b": " 2"}], id="names are stripped, cells aren't"),
        pytest.param(b"a;b\n1,5;2\n", [{"a": "1,5", "b": "2"}], id="semicolons"),
        pytest.param(b"a\tb\n1;5\t2\n", [{"a": "1;5", "b": "2"}], id="tabs"),
        pytest.param(b"a|b\n1;5|2\n", [{"a": "1;5", "b": "2"}], id="vertical bars"),
        pytest.param(b"a,b, a\n1,2,3\n", [{"a": "1", "b": "2", "a_2": "3"}], id="a name twice"),
        pytest.param(
            b"a,a,a_2,a,b.c,b.c\n1,2,3,4,5,6\n",
            [{"a": "1", "a_3": "2", "a_2": "3", "a_4": "4", "b": {"c": "5", "c_2": "6"}}],
            id="a name three times, with a taken number",
        ),
        pytest.param(b"\ta\n1\t2\n", [{"column_1": "1", "a": "2"}], id="tabs, the first name empty"),
        pytest.param(b"a;b,c\n1,2\n", [{"a;b": "1", "c": "2"}], id="a comma takes precedence"),
        pytest.param(b'"a,b";c\n1;2\n', [{"a,b": "1", "c": "2"}], id="a quoted comma does not"),
        pytest.param(b'"a\nb",c\n1,2\n', [{"a\nb": "1", "c": "2"}], id="a header of two lines"),
        pytest.param("ä,b\n€,😀\n".encode(), [{"ä": "€", "b": "😀"}], id="not only ASCII"),
        pytest.param(b"a,b\nx\x00y,2\n", [{"a": "x\x00y", "b": "2"}], id="NUL"),
        pytest.param(
            b"id,actor.login,actor.org.name,type\n1,ann,acme,push\n",
            [{"id": "1", "actor": {"login": "ann", "org": {"name": "acme"}}, "type": "push"}],
            id="dots nest",
        ),
        pytest.param(b"a.b,a.c\n,2\n", [{"a": {"b": None, "c": "2"}}], id="null in an object"),
        pytest.param(
            b"No.,b\n1,2\n", [{"No": {"": "1"}, "b": "2"}], id="a dot at the end, as in the path of a contract"
        ),
    ],
)
def test_rows_are_read_as_a_spreadsheet_shows_them(data: bytes, expected: list[Any]) -> None:
    assert events(data) == expected


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        ("string", "12", "12"),
        ("integer", "12", 12),
        ("integer", " +12 ", 12),
        ("integer", "-007", -7),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("integer", "-9223372036854775808", -(2**63)),
        ("integer", "18446744073709551615", 2**64 - 1),
        ("integer", "18446744073709551616", "18446744073709551616"),
        ("integer", "-9223372036854775809", "-9223372036854775809"),
        ("integer", "9" * 5000, "9" * 5000),
        ("integer", "1_000", "1_000"),
        ("integer", "1.0", "1.0"),
        ("integer", "٣", "٣"),
        ("integer", "+", "+"),
        ("integer", " ", " "),
        ("number", "12", 12),
        ("number", "-1.5", -1.5),
        ("number", ".5", 0.5),
        ("number", "5.", 5.0),
        ("number", " 1e3 ", 1000.0),
        ("number", "1.5E-3", 0.0015),
        ("number", "100000000000000000000", 1e20),
        ("number", "1e999", "1e999"),
        ("number", "9" * 400, "9" * 400),
        ("number", "nan", "nan"),
        ("number", "inf", "inf"),
        ("number", "1_0.5", "1_0.5"),
        ("number", "1,5", "1,5"),
        ("number", ".", "."),
        ("boolean", "TRUE", True),
        ("boolean", "false", False),
        ("boolean", " True ", True),
        ("boolean", "1", True),
        ("boolean", "0", False),
        ("boolean", "yes", "yes"),
        ("json", '{"b": [1, 2.50]}', {"b": [1, 2.5]}),
        ("json", '"text"', "text"),
        ("json", "12", 12),
        ("json", "null", None),
        ("json", "plain text", "plain text"),
        ("json", "NaN", "NaN"),
        ("json", "1e999", "1e999"),
        ("json", '"\\ud800"', '"\\ud800"'),
        pytest.param("json", "[" * 100_000, "[" * 100_000, id="json-deep"),
    ],
)
def test_a_cell_is_converted_to_its_column_type_or_stays_text(kind: ColumnType, cell: str, expected: Any) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([["a", "b"], [cell, "x"], ["", "x"]])

    found = events(file.getvalue().encode(), {"a": kind})

    assert found == [{"a": expected, "b": "x"}, {"a": None, "b": "x"}]
    assert type(found[0]["a"]) is type(expected)


def test_columns_are_named_by_their_dotted_header_and_missing_columns_are_ignored() -> None:
    found = events(b"a.n,m\n1,2\n", {"a.n": "integer", "other": "integer"})

    assert found == [{"a": {"n": 1}, "m": "2"}]


def test_a_json_cell_keeps_its_spelling_on_one_line() -> None:
    [record] = read(b'a,b\n"{""n"":\n 1.50, ""s"": ""x y""}",\n', {"a": "json"})

    assert record.raw == b'{"a":{"n":1.50,"s":"x y"},"b":null}'


def test_a_record_has_the_line_where_its_row_starts() -> None:
    found = read(b'\nname\n\na\n"b\n\nc"\n,\nd\n')

    assert [(item.source, item.line, json.loads(item.raw)["name"]) for item in found] == [
        ("events.csv", 4, "a"),
        ("events.csv", 5, "b\n\nc"),
        ("events.csv", 9, "d"),
    ]


LIMIT = 2000


def outline(data: bytes) -> list[tuple[int, str | None]]:
    """Return line and first cell of each record, line and None of each unreadable row."""
    return [
        (item.line, None if isinstance(item, Unreadable) else next(iter(json.loads(item.raw).values())))
        for item in read(data)
    ]


@pytest.mark.parametrize(
    ("data", "expected", "problem"),
    [
        pytest.param(
            b"a,b\n1,2\n\xff,2\n3,4\n",
            [(2, "1"), (3, None), (4, "3")],
            "byte 0xff at byte 1 of the row, expected UTF-8",
            id="not UTF-8",
        ),
        pytest.param(
            b'a,b\n"x\ny\xff\nz",2\n3,4\n',
            [(2, None), (5, "3")],
            "0xff at byte 5",
            id="not UTF-8, a row of several lines",
        ),
        pytest.param(
            b'a,b\n1,2\n"3,4\n5,6\n7,8\n', [(2, "1"), (3, None), (4, "5"), (5, "7")], "never closed", id="open quote"
        ),
        pytest.param(b'a,b\n"3,4', [(2, None)], "never closed", id="open quote in the last row"),
        pytest.param(b"a,b\n1\r2,3\n4,5\n", [(2, None), (3, "4")], "carriage return", id="carriage return"),
        pytest.param(
            b"a,b\n" + b"x" * LIMIT + b",1\n2,3\n", [(2, None), (3, "2")], "longer than 1 MiB", id="long line"
        ),
        pytest.param(
            b'a,b\n"1,2\n' + b"3,4\n" * 1000,
            [(2, None), *((line, "3") for line in range(3, 1003))],
            "is a quote not closed?",
            id="open quote, far from the end",
        ),
    ],
)
def test_an_unreadable_row_does_not_affect_other_rows(
    data: bytes, expected: list[tuple[int, str | None]], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "MAX_ROW_BYTES", LIMIT)
    first = next(item for item in read(data) if isinstance(item, Unreadable))

    assert outline(data) == expected
    assert problem in first.problem
    assert first.source == "events.csv"
    assert first.raw
    assert first.raw in data
    assert len(first.raw) <= MAX_QUOTED_BYTES


def test_a_row_of_exactly_the_size_limit_is_read() -> None:
    [record] = read(b"a\n" + b"x" * (MAX_ROW_BYTES - 1) + b"\n")

    assert len(json.loads(record.raw)["a"]) == MAX_ROW_BYTES - 1


def test_many_restarts_of_the_parser_do_not_nest() -> None:
    found = read(b"a,b\n" + b"1\r2,3\n4,5\n" * 5000)

    assert [item.line for item in found] == [*range(2, 10_002)]
    assert sum(isinstance(item, Unreadable) for item in found) == 5000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\n\nactor,actor.login\n", ["events.csv, line 3", "'actor'", "'actor.login'"]),
        (b"a.b.c,a.b\n", ["'a.b'", "'a.b.c'"]),
        (b"a,\xff\n1,2\n", ["events.csv, line 1", "UTF-8"]),
        (b'a,"b\n1,2\n', ["events.csv, line 1", "never closed"]),
        (b"a\rb\r", ["events.csv, line 1", "carriage return"]),
        (b"x" * (MAX_ROW_BYTES + 1), ["events.csv, line 1", "1 MiB"]),
    ],
)
def test_an_invalid_header_is_an_error_with_file_and_line(data: bytes, words: list[str]) -> None:
    with pytest.raises(SourceError) as raised:
        read(data)

    for word in words:
        assert word in str(raised.value)


# A row with one empty cell is an empty row, so every generated row starts with a non-empty cell.
cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width).map(lambda row: ["x", *row]), max_size=6)
)


@given(
    rows=tables,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_rows_of_csv_writer_are_read_back(rows: list[list[str]], quoting: Any, delimiter: str, end: str) -> None:
    # csv.writer quotes a carriage return only if its line terminator has one; otherwise the row is unreadable.
    assume(quoting == csv.QUOTE_ALL or end == "\r\n" or not any("\r" in cell for row in rows for cell in row))
    file = io.StringIO()
    width = len(rows[0]) if rows else 2
    header = [f"name {at}" for at in range(width)]
    csv.writer(file, quoting=quoting, delimiter=delimiter, lineterminator=end).writerows([header, *rows])

    lines = io.BytesIO(file.getvalue().encode())
    found = list(read_csv(lines, "events.csv"))

    assert [list(json.loads(item.raw).values()) for item in found] == [[cell or None for cell in row] for row in rows]
    assert not [item for item in found if b"\n" in item.raw]


@given(
    st.lists(
        st.sampled_from([b"a", b"1.5", b",", b";", b" ", b"\t", b"\n", b"\r\n", b"\r", b"\0", b"\xc2\xa0", b"\xff"])
    ),
    st.sampled_from([b"n,i,t", b"n;i;t", b"n,i,", b"n.x,i,t", b"n\\,i,t"]),
)
def test_a_block_without_quotes_yields_the_same_rows_as_the_parser(body: list[bytes], header: bytes) -> None:
    data = b"".join([*body, b"x\n"])
    columns: dict[str, ColumnType] = {"n": "number", "i": "integer"}

    # The block with the header always goes through the parser.
    parsed = list(read_csv([header + b"\n" + data + b"y\n"], "events.csv", columns))
    assert list(read_csv([header + b"\n", data, b"y\n"], "events.csv", columns)) == parsed


@given(st.binary(max_size=200).map(lambda data: b"a,b\n" + data))
def test_arbitrary_bytes_are_read_without_an_exception_and_in_order(data: bytes) -> None:
    found = list(read_csv(io.BytesIO(data), "events.csv"))

    assert [item.line for item in found] == sorted({item.line for item in found})
    for item in found:
        assert isinstance(item, Unreadable) or isinstance(json.loads(item.raw), dict)
