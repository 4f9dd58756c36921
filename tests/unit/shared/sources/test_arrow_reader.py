"""Parquet and Arrow files become lines of JSON, batch by batch."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from shared.contracts.source import SourceFormat
from shared.errors import SourceError
from shared.sources import arrow_reader
from shared.sources.files import Record, SourceReader, Unreadable
from tests.support.samples import ROOT

INPUTS = ROOT / "tests" / "data" / "inputs"
NOON = datetime(2024, 1, 15, 12, 0, 0, 123_456, UTC)


def values(path: Path) -> list[Any]:
    found = list(SourceReader([path]))
    assert all(isinstance(item, Record) for item in found), found
    assert [item.line for item in found] == list(range(1, len(found) + 1))
    return [json.loads(item.raw, parse_float=Decimal) for item in found]


def write(table: Any, path: Path) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        new = pyarrow.ipc.new_stream if path.suffix == ".arrows" else pyarrow.ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table)
    return path


COLUMNS: dict[str, tuple[Any, Any, Any]] = {
    "text": (pyarrow.string(), "é", "é"),
    "big": (pyarrow.uint64(), 2**64 - 1, 2**64 - 1),
    "flag": (pyarrow.bool_(), True, True),
    "float": (pyarrow.float64(), 1.5, Decimal("1.5")),
    "not a number": (pyarrow.float64(), float("nan"), None),
    "decimal": (pyarrow.decimal128(20, 3), Decimal("12345678901234567.890"), Decimal("12345678901234567.890")),
    "moment": (pyarrow.timestamp("us", "Europe/Berlin"), NOON, "2024-01-15T12:00:00.123456Z"),
    "naive": (pyarrow.timestamp("ms"), datetime(2024, 1, 15, 12), "2024-01-15T12:00:00"),
    "day": (pyarrow.date32(), date(2024, 1, 15), "2024-01-15"),
    "clock": (pyarrow.time64("us"), time(12, 30), "12:30:00"),
    "duration": (pyarrow.duration("ms"), timedelta(seconds=90.5), Decimal("90.5")),
    "bytes of text": (pyarrow.binary(), "é".encode(), "é"),
    "bytes": (pyarrow.large_binary(), b"\xff\x00", "ff00"),
    "uuid": (pyarrow.binary(4), b"abcd", "61626364"),
    "list": (pyarrow.list_(pyarrow.binary()), [b"a", None], ["a", None]),
    "struct": (
        pyarrow.struct([("at", pyarrow.timestamp("us")), ("hash", pyarrow.binary(2)), ("n", pyarrow.int8())]),
        {"at": datetime(2024, 1, 15), "hash": b"\x00\x01", "n": None},
        {"at": "2024-01-15T00:00:00", "hash": "0001", "n": None},
    ),
    "map": (pyarrow.map_(pyarrow.int32(), pyarrow.binary()), [(1, b"a"), (2, None)], {"1": "a", "2": None}),
    "null": (pyarrow.null(), None, None),
}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", ".arrows"])
def test_columns_of_all_types_are_converted(tmp_path: Path, suffix: str) -> None:
    arrays = [pyarrow.array([given, None], kind) for kind, given, _ in COLUMNS.values()]

    found = values(write(pyarrow.table(dict(zip(COLUMNS, arrays, strict=True))), tmp_path / f"rows{suffix}"))

    assert found == [{name: expected for name, (_, _, expected) in COLUMNS.items()}, dict.fromkeys(COLUMNS)]


def test_nanoseconds_are_cut_everywhere(tmp_path: Path) -> None:
    kind = pyarrow.timestamp("ns")
    at = pyarrow.array([1_700_000_000_123_456_789, None]).cast(kind)
    table = pyarrow.table(
        {
            "at": at,
            "inside": pyarrow.StructArray.from_arrays([at], ["at"]),
            "list": pyarrow.ListArray.from_arrays([0, 1, 2], at),
            "coded": at.dictionary_encode(),
            "clock": pyarrow.array([3_600_000_000_999, None]).cast(pyarrow.time64("ns")),
            "duration": pyarrow.array([1_500_000_999, None]).cast(pyarrow.duration("ns")),
        }
    )

    [found, nulls] = values(write(table, tmp_path / "rows.arrow"))

    moment = "2023-11-14T22:13:20.123456"
    assert found == {
        "at": moment,
        "inside": {"at": moment},
        "list": [moment],
        "coded": moment,
        "clock": "01:00:00",
        "duration": Decimal("1.5"),
    }
    assert nulls["inside"] == {"at": None}


def test_repeated_names_and_names_with_dots_stay_apart(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array([number]) for number in (1, 2, 3)], names=["a", "a", 'b."c'])

    assert values(write(table, tmp_path / "rows.arrow")) == [{"a": 1, "a_2": 2, 'b."c': 3}]


def test_rows_of_several_row_groups_are_counted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_reader, "_ROWS", 7)
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"n": list(range(100))}), path, row_group_size=30)

    reader = SourceReader([path])

    assert [json.loads(item.raw)["n"] for item in reader] == list(range(100))
    assert [item.line for item in reader] == list(range(1, 101))
    assert reader.bytes_read > 0


def test_files_of_spark_and_of_other_writers_are_read() -> None:
    found = list(SourceReader([INPUTS / "int96_from_spark.parquet"]))

    assert [json.loads(item.raw)["a"] for item in found[:5]] == [
        "2024-01-01T20:34:56.123456",
        "2024-01-01T01:00:00",
        "9999-12-31T03:00:00",
        "2024-12-30T23:00:00",
        None,
    ]
    # The last has the year 290000.
    assert found[5:] == [
        Unreadable(
            str(INPUTS / "int96_from_spark.parquet"),
            6,
            "found a value that isn't readable (date value out of range), expected values that JSON can represent",
            b"",
        )
    ]
    assert values(INPUTS / "nested_maps.snappy.parquet")[0] == {"a": {"a": {"1": True, "2": False}}, "b": 1, "c": 1}
    assert values(INPUTS / "decimals.arrow")[:2] == [{"f0": Decimal("-116.97")}, {"f0": None}]
    assert values(INPUTS / "dictionaries.arrows")[0] == {"col1": "foo", "col2": "bar"}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows"])
def test_rows_before_damage_are_kept_and_the_damage_is_reported(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    table = pyarrow.table({"n": pyarrow.array(range(2_000))})
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=1_000, use_dictionary=False, compression="zstd")
        last = pyarrow.parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
        data = bytearray(path.read_bytes())
        data[last : last + 200] = b"\xff" * 200
        path.write_bytes(data)
    else:
        new = pyarrow.ipc.new_stream if suffix == ".arrows" else pyarrow.ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=1_000)
        data = bytearray(path.read_bytes())
        if suffix == ".arrows":
            path.write_bytes(data[: len(data) * 2 // 3])
        else:
            block = data.find(b"\xff\xff\xff\xff", len(data) // 2 - 200)
            data[block : block + 80] = b"\xff" * 80
            path.write_bytes(data)

    found = list(SourceReader([path]))

    assert [json.loads(item.raw)["n"] for item in found[:-1]] == list(range(1_000))
    assert isinstance(found[-1], Unreadable)
    assert found[-1].line == 1_001
    assert "found damaged data" in found[-1].problem


def test_a_cut_file_is_reported(tmp_path: Path) -> None:
    data = write(pyarrow.table({"n": [1]}), tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(data[:-20])

    [item] = SourceReader([tmp_path / "rows.parquet"])

    assert isinstance(item, Unreadable)
    assert "found damaged data" in item.problem


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_file_that_is_read_from_its_end_needs_a_file(tmp_path: Path, suffix: str) -> None:
    data = write(pyarrow.table({"n": [1]}), tmp_path / f"rows{suffix}").read_bytes()
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)

    with os.fdopen(reading, "rb") as pipe, pytest.raises(SourceError, match="data in a pipe, expected a file"):
        list(SourceReader([None], stdin=pipe))
    with pytest.raises(SourceError, match=r"found a compressed .* file, expected it as it is"):
        list(SourceReader([None], stdin=io.BytesIO(gzip.compress(data)), stdin_name=f"rows{suffix}.gz"))
    [item] = SourceReader([None], stdin=io.BytesIO(data))
    assert item.raw == b'{"n":1}'


def test_a_stream_may_be_compressed_and_in_a_pipe(tmp_path: Path) -> None:
    data = write(pyarrow.table({"n": [1]}), tmp_path / "rows.arrows").read_bytes()
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(data))
    os.close(writing)

    with os.fdopen(reading, "rb") as pipe:
        [item] = SourceReader([None], stdin=pipe)

    assert item.raw == b'{"n":1}'


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_another_file_than_the_declared_format_is_an_error(format: Any) -> None:
    reader = SourceReader([None], source_format=SourceFormat(format=format), stdin=io.BytesIO(b"n\n1\n"))

    with pytest.raises(SourceError, match=rf"stdin: found the bytes b'n\\n1\\n', expected a file of format {format}"):
        list(reader)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(SourceError, match=r"found Parquet data, expected the package: pip install pyarrow$"):
        list(SourceReader([INPUTS / "nested_maps.snappy.parquet"]))
