"""Files as other programs write them are read by what `[source]` declares, or by what is inferred from them."""

from __future__ import annotations

import io
import json
import tomllib
from typing import Any

import pytest

from shared.contracts.loader import parse_contract
from shared.contracts.model import Contract
from shared.errors import SourceError
from shared.sources.columns import columns
from shared.sources.files import Record, SourceReader, Unreadable

NUMBERS = '[fields.amount]\ntype = "number"\n[fields.count]\ntype = "integer"\n'
CONTRACT = """
version = 1
name = "hard"
[event]
id = "id"
user = "user"
time = "time"
[fields.id]
type = "string"
[fields.user]
type = "string"
[fields.time]
type = "timestamp"
"""


def contract(extra: str = "") -> Contract:
    return parse_contract(tomllib.loads(CONTRACT + extra), "hard.toml")


def read(data: bytes, extra: str = "", name: str = "export.csv") -> list[Record | Unreadable]:
    loaded = contract(extra)
    reader = SourceReader(
        [None], source_format=loaded.source, columns=columns(loaded), stdin=io.BytesIO(data), stdin_name=name
    )
    return list(reader)


def values(data: bytes, extra: str = "", name: str = "export.csv") -> list[Any]:
    found = read(data, extra, name)
    assert not [item for item in found if isinstance(item, Unreadable)], found
    return [json.loads(item.raw) for item in found]


ANN = {"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z"}
BEN = {"id": "2", "user": "ben", "time": "2024-01-15T11:00:00Z"}
ROWS = "id,user,time\n1,ann,2024-01-15T10:00:00Z\n2,ben,2024-01-15T11:00:00Z\n"


@pytest.mark.parametrize(
    ("data", "extra"),
    [
        pytest.param(ROWS.replace("\n", "\r").encode(), "", id="CR alone as line end"),
        pytest.param(ROWS.replace(",", "\t").encode(), "", id="tabs"),
        pytest.param(ROWS.replace(",", ";").encode(), "", id="semicolons"),
        pytest.param(ROWS.replace(",", "|").encode(), "", id="vertical bars"),
        pytest.param(ROWS.replace(",", "   ").encode(), "", id="several blanks, as printed columns"),
        pytest.param(
            ROWS.replace(",", " \t ").replace("\n", " \n ").encode(), '[source]\ndelimiter = " "', id="blanks and tabs"
        ),
        pytest.param(ROWS.replace(",", "^").encode(), '[source]\ndelimiter = "^"', id="a declared delimiter"),
        pytest.param(
            b"Export of events\r\nCreated;2024-02-01\r\n\r\n" + ROWS.replace(",", ";").encode(),
            "",
            id="lines before the header, found by its columns",
        ),
        pytest.param(
            b"id of the report: 7\nid,user,time\nid,user,time\n" + ROWS.encode(),
            "[source]\nskip_lines = 3",
            id="declared lines before the header, which look like one",
        ),
        pytest.param(b"\n\n" + ROWS.encode(), "[source]\nskip_lines = 1", id="fewer declared lines than blank ones"),
        pytest.param(ROWS.partition("\n")[2].encode(), '[source]\ncolumns = ["id", "user", "time"]', id="no header"),
        pytest.param(
            ROWS.partition("\n")[2].replace(",", "  ").encode(),
            '[source]\ncolumns = ["id", "user", "time"]',
            id="no header and blanks",
        ),
        pytest.param(
            b"# made by hand\n" + ROWS.partition("\n")[2].encode(),
            '[source]\ncolumns = ["id", "user", "time"]\nskip_lines = 1',
            id="no header, below a comment",
        ),
        pytest.param(ROWS.encode("utf-16"), "", id="UTF-16 with a mark"),
        pytest.param(ROWS.encode("utf-32"), "", id="UTF-32 with a mark"),
        pytest.param(ROWS.encode("utf-16-be"), "", id="UTF-16 without a mark"),
        pytest.param(ROWS.encode("utf-32-le"), "", id="UTF-32 without a mark"),
        pytest.param(ROWS.replace("\n", "\r").encode("utf-16"), "", id="UTF-16 with CR"),
        pytest.param(
            b"\xef\xbb\xbf" + ROWS.encode(), '[source]\nencoding = "windows-1252"', id="a mark beats the declaration"
        ),
        pytest.param(ROWS.encode("cp037"), '[source]\nencoding = "cp037"', id="EBCDIC, declared"),
    ],
)
def test_the_same_rows_are_read_from_files_of_other_programs(data: bytes, extra: str) -> None:
    assert values(data, extra) == [ANN, BEN]


def test_a_tsv_file_has_tabs_even_if_its_names_have_commas() -> None:
    data = b"id\tuser\ttime\ttext, free\n1\tann\t2024-01-15T10:00:00Z\ta,b\n"

    assert values(data, name="export.tsv") == [{**ANN, "text, free": "a,b"}]


def test_a_first_row_with_the_declared_columns_is_no_event() -> None:
    assert values(ROWS.encode(), '[source]\ncolumns = ["id", "user", "time"]') == [ANN, BEN]


def test_cells_between_blanks_may_be_quoted() -> None:
    data = b'id user time note\n1  ann 2024-01-15T10:00:00Z "two  words"\n2 ben 2024-01-15T11:00:00Z -\n'

    assert values(data) == [{**ANN, "note": "two  words"}, {**BEN, "note": "-"}]


def test_records_below_skipped_lines_keep_their_line_numbers() -> None:
    assert [item.line for item in read(b"a report\n\n" + ROWS.encode())] == [4, 5]
    assert [item.line for item in read(b"\n\nx\n" + ROWS.encode(), "[source]\nskip_lines = 3")] == [5, 6]


@pytest.mark.parametrize(
    ("source", "amount", "count", "expected"),
    [
        ('decimal = ","', "1,5", "7", (1.5, 7)),
        ('decimal = ","\nthousands = "."', "1.234.567,5", "-1.234", (1234567.5, -1234)),
        ('decimal = ","\nthousands = "."', "1234", "1234", (1234, 1234)),
        ('decimal = ","\nthousands = " "', "1\u00a0234,5", "1\u202f234", (1234.5, 1234)),
        ('thousands = ","', "1,234.5", "1,234", (1234.5, 1234)),
        ('thousands = "\'"', "1\u2019234.5", "1'234", (1234.5, 1234)),
        ('thousands = "_"', "1_234e2", "1_234", (123400.0, 1234)),
        # What isn't certain to be a number in the declared notation stays text, for a finding of rule `type`.
        ('decimal = ","', "1.5", "1.234", ("1.5", "1.234")),
        ('decimal = ","\nthousands = "."', "1.23,5", "12.34", ("1.23,5", "12.34")),
        ('thousands = ","', "1,23", ",234", ("1,23", ",234")),
        ("", "1,5", "1,234", ("1,5", "1,234")),
    ],
)
def test_numbers_have_the_declared_marks(source: str, amount: str, count: str, expected: tuple[Any, Any]) -> None:
    data = f"id;user;time;amount;count\n1;ann;2024-01-15T10:00:00Z;{amount};{count}\n".encode()

    [found] = values(data, f"{NUMBERS}[source]\n{source}\n")

    assert (found["amount"], found["count"]) == expected


def test_a_number_in_quotes_has_thousands_between_commas() -> None:
    data = b'id,user,time,amount,count\n1,ann,2024-01-15T10:00:00Z,"1,234.50","2,000"\n'

    [found] = values(data, f'{NUMBERS}[source]\nthousands = ","\n')

    assert (found["amount"], found["count"]) == (1234.5, 2000)


def test_dates_of_a_spreadsheet_are_numbers_in_the_declared_notation() -> None:
    extra = '[fields.day]\ntype = "timestamp"\nunit = "serial_days"\n[source]\ndecimal = ","\n'

    [found] = values(b"id;user;time;day\n1;ann;2024-01-15T10:00:00Z;45306,4375\n", extra)

    assert found["day"] == 45306.4375


QUOTED = '[fields.ip]\ntype = "string"\nfrom = \'"client.ip"\'\n[fields.deep]\ntype = "integer"\nfrom = \'a."b.c"\'\n'


def test_a_quoted_path_keeps_the_dots_of_a_header() -> None:
    data = b"id,user,time,client.ip,a.b.c,x.y\n1,ann,2024-01-15T10:00:00Z,192.0.2.1,7,z\n"

    [found] = values(data, QUOTED)

    assert found == {**ANN, "client.ip": "192.0.2.1", "a": {"b.c": 7}, "x": {"y": "z"}}


LATIN = "id,user,time\n1,café,2024-01-15T10:00:00Z\n2,ben,2024-01-15T11:00:00Z\n".encode("windows-1252")


def test_bytes_that_are_not_utf_8_are_reported_with_the_likely_encoding() -> None:
    found = read(LATIN)

    assert found[0] == Unreadable(
        "export.csv",
        2,
        "found byte 0xe9 at byte 6 of the row, expected UTF-8; if '1,café,2024-01-15T10:00:0' is right, "
        "set encoding = 'windows-1252' in [source]",
        LATIN.splitlines(keepends=True)[1],
    )
    assert json.loads(found[1].raw) == BEN


def test_a_declared_encoding_is_converted() -> None:
    assert values(LATIN, '[source]\nencoding = "windows-1252"') == [{**ANN, "user": "café"}, BEN]


@pytest.mark.parametrize(
    ("encoding", "bad", "byte"),
    [("windows-1252", b"\x81", "81"), ("ascii", "é".encode(), "c3"), ("shift_jis", b"\x82\xff", "82")],
)
def test_a_row_that_is_not_in_the_declared_encoding_is_reported(encoding: str, bad: bytes, byte: str) -> None:
    found = read(ROWS.encode().replace(b"ann", b"an" + bad), f'[source]\nencoding = "{encoding}"')

    assert isinstance(found[0], Unreadable)
    assert (found[0].line, found[0].problem) == (
        2,
        f"found byte 0x{byte} at byte 5 of the row, expected text in the encoding {encoding}",
    )
    assert json.loads(found[1].raw) == BEN


def test_a_cut_character_at_the_end_is_reported() -> None:
    found = read(ROWS.encode("utf-16-le")[:-1] + b"", '[source]\nencoding = "utf-16-le"')

    assert json.loads(found[0].raw) == ANN
    assert isinstance(found[1], Unreadable)


@pytest.mark.parametrize("line", [b'{"id":"1","user":"an\x81"}', b'{"id":"2"\x9d}'])
def test_a_json_line_that_is_not_in_the_declared_encoding_is_reported(line: bytes) -> None:
    found = read(b'{"user":"caf\xe9"}\n' + line + b"\n", '[source]\nencoding = "windows-1252"', "lines.jsonl")

    assert json.loads(found[0].raw) == {"user": "café"}
    assert isinstance(found[1], Unreadable)
    assert found[1].line == 2
    assert "expected text in the encoding windows-1252" in found[1].problem


def test_a_header_that_is_not_utf_8_is_an_error_with_the_likely_encoding() -> None:
    with pytest.raises(SourceError) as caught:
        read("id,user,time,größe\n".encode("windows-1252"))

    assert "line 1: the column 'gr\\udcf6\\udcdfe' of the header: found byte 0xf6" in str(caught.value)
    assert "if 'größe' is right, set encoding = 'windows-1252' in [source]" in str(caught.value)


def test_a_file_without_any_of_the_columns_is_an_error_that_says_what_to_declare() -> None:
    with pytest.raises(SourceError) as caught:
        read(b"1,ann,2024-01-15T10:00:00Z\n")

    assert str(caught.value) == (
        "export.csv, line 1: found the columns '1', 'ann', '2024-01-15T10:00:00Z', expected a header with some of "
        "id, user, time; [source] declares lines before the header (skip_lines), or the names (columns) if there is "
        "no header"
    )


def test_the_header_is_searched_for_in_the_first_lines_only() -> None:
    with pytest.raises(SourceError, match="line 1: found the columns 'note'"):
        read(b"note\n" * 64 + ROWS.encode())


def test_carriage_returns_inside_lines_are_no_line_ends() -> None:
    found = read(b"id,user,time\n1\r,ann,2024-01-15T10:00:00Z\n2,ben,2024-01-15T11:00:00Z\n")

    assert isinstance(found[0], Unreadable)
    assert "carriage return" in found[0].problem
    assert json.loads(found[1].raw) == BEN


def test_json_lines_may_end_in_cr_alone() -> None:
    assert values(b'{"id":"1"}\r{"id":"2"}\r', name="lines.jsonl") == [{"id": "1"}, {"id": "2"}]
