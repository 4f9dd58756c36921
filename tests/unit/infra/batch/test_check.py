"""Source files are closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.batch.check import check_files
from infra.batch.report import Report
from shared.contracts.loader import load_contract
from shared.sources.files import SourceReader
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
