"""Source files are closed, and batches have a limited size."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.batch.check import check_files, next_batch
from infra.batch.report import Report
from shared.contracts.loader import load_contract
from shared.sources.files import Record, SourceReader
from tests.support.open_files import open_files
from tests.support.samples import MUSIC_CONTRACT


def test_a_failure_closes_the_source_file(tmp_path: Path) -> None:
    def fail(report: Report) -> None:
        raise RuntimeError(report)

    (tmp_path / "events.jsonl").write_bytes(b'{"n":1}\n' * 100_000)
    reader = SourceReader([tmp_path / "events.jsonl"])

    with pytest.raises(RuntimeError) as raised:
        check_files(reader, load_contract(MUSIC_CONTRACT), progress=fail)

    assert (open_files(tmp_path), raised.type) == ([], RuntimeError)  # `raised` keeps the frames alive


def test_a_batch_has_a_thousand_small_events_or_few_large_ones() -> None:
    """Compressed lines of a megabyte each would fill the memory with a thousand of them."""
    small = iter([Record(b"1", "stdin", number) for number in range(2_500)])
    large = iter([Record(b"1" * 600_000, "stdin", number) for number in range(5)])

    assert [len(next_batch(small)) for _ in range(4)] == [1_000, 1_000, 500, 0]
    assert [len(next_batch(large)) for _ in range(4)] == [2, 2, 1, 0]
