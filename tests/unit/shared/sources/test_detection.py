"""The notation of a file is detected from its beginning, and what is detected reads the file."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.source import SourceFormat
from shared.errors import SourceError
from shared.sources.detection import detect
from shared.sources.files import Record, SourceReader
from tests.support.samples import ROOT

INPUTS = ROOT / "tests" / "data" / "inputs"
ACCESS = b'192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 23\n'
BANK = "Kontoauszug\nErstellt am;01.02.2024\n\nDatum;Betrag;Text\n02.01.2024;-1.234,50;Miete\n03.01.2024;3,5;Café\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"a,b\n1,2\n", {}, id="plain"),
        pytest.param(b"a\rb\r", {}, id="one column"),
        pytest.param(b"", {}, id="empty"),
        pytest.param(b"a;b\n1;x,y\n", {}, id="what a reader infers needs no declaration"),
        pytest.param(b"name, first;b\nx;y\nz;w\n", {"delimiter": ";"}, id="a comma in the header"),
        pytest.param(b"a b   c\n1  2 3\nx y z\n", {"delimiter": " "}, id="blanks"),
        pytest.param(BANK.encode(), {"skip_lines": 3, "decimal": ",", "thousands": "."}, id="a bank's export"),
        pytest.param(
            BANK.encode("windows-1252"),
            {"skip_lines": 3, "decimal": ",", "thousands": ".", "encoding": "windows-1252"},
            id="a bank's export in another encoding",
        ),
        pytest.param(BANK.encode("utf-16"), {"skip_lines": 3, "decimal": ",", "thousands": "."}, id="UTF-16"),
        pytest.param("a,é\n1,\x81\n".encode("latin-1"), {}, id="bytes of no likely encoding"),
        pytest.param(b"1,2024-01-15,x\n2,2024-01-16,y\n", {"columns": ("column_1", "column_2", "column_3")}),
        pytest.param(b'a,n\n1,"1,234.50"\n', {"thousands": ","}, id="thousands in quotes"),
        pytest.param(b'a,n\n1,"1,234"\n', {}, id="one group may be decimals"),
        pytest.param(b"a;n\n1;1.234\n2;1,5\n", {"decimal": ","}, id="decimal comma beside one group"),
        pytest.param(b"a;n;m\n1;1.5;1,5\n", {}, id="both marks, for different columns"),
        pytest.param("a;n\n1;1\u00a0234,5\n".encode(), {"decimal": ",", "thousands": " "}, id="no-break blanks"),
        pytest.param(b"a;n\n1;1'234.50\n", {"thousands": "'"}, id="apostrophes"),
        pytest.param(b"a;n\n1;1.234.567\n", {"decimal": ",", "thousands": "."}, id="several groups"),
    ],
)
def test_what_must_be_declared_of_a_csv_file_is_detected(tmp_path: Path, data: bytes, expected: dict[str, Any]) -> None:
    (tmp_path / "export.csv").write_bytes(data)

    assert detect(tmp_path / "export.csv") == SourceFormat(format="csv", **expected)


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("access.log", ACCESS, "access_log"),
        ("access.log.gz", gzip.compress(ACCESS, mtime=0), "access_log"),
        ("events.json", b"[1]", "json"),
        ("events", b'\n {"n":1}\n', "json"),
        ("events.ndjson", b"1\n", "json"),
        ("events", b"a,b\n", "csv"),
    ],
)
def test_the_format_is_detected(tmp_path: Path, name: str, data: bytes, format: Any) -> None:
    (tmp_path / name).write_bytes(data)

    assert detect(tmp_path / name) == SourceFormat(format=format)


def test_parquet_and_arrow_are_detected_by_their_content(tmp_path: Path) -> None:
    assert detect(INPUTS / "nested_maps.snappy.parquet", "events.csv").format == "parquet"
    assert detect(INPUTS / "decimals.arrow").format == "arrow"
    assert detect(INPUTS / "dictionaries.arrows").format == "arrow"


def test_an_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes(b"PK\x03\x04...")

    with pytest.raises(SourceError, match="found a ZIP archive"):
        detect(tmp_path / "events.csv")


def test_a_sample_ends_between_lines(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("a;b\n" + "é;1,5\n" * 60_000)

    assert detect(tmp_path / "events.csv") == SourceFormat(format="csv", decimal=",")


cells = st.text(st.characters(categories=["L"], max_codepoint=0x24F), min_size=1, max_size=6)


@given(
    rows=st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=4, max_size=8)
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    preamble=st.lists(cells, max_size=3),
)
def test_a_detected_file_is_read_from_its_header_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, preamble: list[str]
) -> None:
    names = [f"n{number}" for number in range(len(rows[0]))]
    text = io.StringIO()
    text.writelines(f"{line}\n" for line in preamble)
    csv.writer(text, delimiter=delimiter).writerows([names, *rows])
    path = tmp_path_factory.getbasetemp() / "detected.csv"
    path.write_text(text.getvalue(), newline="")

    found = list(SourceReader([path], source_format=detect(path)))

    assert all(isinstance(item, Record) for item in found)
    assert len(found) == len(rows)
    assert found[0].raw.startswith(b'{"n0":')
