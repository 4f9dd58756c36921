"""Large files are read in little memory; `python -m tests.memory` measures files of 10 GB."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.memory.large_files import measure_parquet, measure_stream

LIMIT_MIB = 256
SIZE = 30_000_000  # beyond what the readers hold in memory; growth with the size would exceed the narrower limits below


@pytest.mark.parametrize("name", ["rows.csv", "lines.jsonl", "rows.csv.gz", "rows.csv.zst"])
def test_streams_are_read_in_bounded_memory(name: str) -> None:
    found = measure_stream(name, SIZE)

    assert found.unreadable == 0
    assert found.records * 500 > SIZE
    assert found.peak_mib < 60


def test_a_row_group_is_not_held_in_memory(tmp_path: Path) -> None:
    small, large = measure_parquet(tmp_path, SIZE // 4), measure_parquet(tmp_path, 2 * SIZE)

    assert large.records > 7 * small.records
    assert large.peak_mib < small.peak_mib + 20
    assert large.peak_mib < LIMIT_MIB
