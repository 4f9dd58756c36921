"""Distinct cell keys, and the events and users of each day, are counted once; source files are closed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from infra.batch.check import DistinctCellKeys, check_files, next_batch
from infra.batch.report import Report
from shared.contracts.loader import load_contract
from shared.row_keys import Bucket, cell_key_of
from shared.sources.files import Record, SourceReader
from tests.support.open_files import open_files
from tests.support.samples import MUSIC_CONTRACT


@pytest.mark.parametrize("bucket", ["day", "hour"])
def test_cell_keys_are_counted_once_and_users_once_per_day(bucket: Bucket) -> None:
    found = DistinctCellKeys()
    cell_keys = [
        cell_key_of(user, event_id, datetime(2024, 1, day, hour, tzinfo=UTC), bucket)
        for user, event_id, day, hour in (
            ("a#b", "1", 16, 1),
            ("a#b", "2", 15, 1),
            ("a#b", "3", 15, 2),
            ("c", "4", 15, 2),
            ("c", "4", 15, 2),
        )
    ]

    assert found.add(cell_keys) == 4
    assert found.add(cell_keys[:1]) == 0
    assert found.add(cell_keys) == 0
    assert list(found.days().items()) == [(date(2024, 1, 15), (3, 2)), (date(2024, 1, 16), (1, 1))]


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
