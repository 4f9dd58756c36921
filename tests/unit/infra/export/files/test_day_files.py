"""The Parquet file of a day has bounded row groups and says what its export saw."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.export.day_tables.versions import DayVersion
from infra.export.files import day_files
from infra.export.files.day_files import DayWriter, Footer, read_footer
from shared.errors import ExportError

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])
VERSION = DayVersion(5, None, complete=True)


def batch(rows: int) -> pa.RecordBatch:
    return pa.record_batch([list(range(rows)), ["x" * 10] * rows], schema=SCHEMA)


@pytest.mark.parametrize(
    ("bound", "value", "sizes"), [("_MAX_GROUP_ROWS", 250, [300, 100]), ("_MAX_GROUP_BYTES", 1, [100] * 4)]
)
def test_a_row_group_ends_at_a_number_of_rows_or_bytes(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(day_files, bound, value)
    file = io.BytesIO()

    with DayWriter(file, SCHEMA, VERSION) as writer:
        for _ in range(4):
            if writer.add(batch(100)):
                writer.flush()

    metadata = pq.read_metadata(pa.BufferReader(file.getvalue()))
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == sizes
    assert metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("rows", [0, 3])
def test_the_footer_has_the_version_and_the_columns(rows: int) -> None:
    file = io.BytesIO()
    with DayWriter(file, SCHEMA, VERSION) as writer:
        if rows:
            writer.add(batch(rows))

    assert read_footer(io.BytesIO(file.getvalue()), "x") == (Footer(VERSION, rows), SCHEMA)


def test_other_files_are_refused_by_name() -> None:
    other = io.BytesIO()
    pq.write_table(pa.table({"n": [1]}), other)

    for content in (b"", b"no Parquet", other.getvalue()):
        with pytest.raises(ExportError, match=r"^x: found .*, expected a Parquet file that `sluice export` wrote$"):
            read_footer(io.BytesIO(content), "x")
