"""Beam stores the same events and rejected events as the command in one process."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from infra.beam.driver_process import variables_of
from infra.cli.main import main
from infra.provision.bigtable import provision_bigtable
from infra.provision.resources import RESOURCES
from shared.config import Settings
from tests.support.samples import dump, lines, music_event

Command = Callable[..., Any]


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `sluice ingest` in this process; return its report, or its error."""

    def run(settings: Settings, *arguments: str) -> Any:
        for name, value in variables_of(settings).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["sluice", "ingest", "--json", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return json.loads(printed.out) if not ended.value.code else printed.err

    return run


def write_files(folder: Path) -> None:
    """Write events as plain and gzipped lines and as CSV, some of them rejected or unreadable."""
    events = [music_event(number) for number in range(900)]
    (folder / "a.jsonl").write_bytes(lines([*events[:300], music_event(7, event_type="unknown")]) + b"\n{broken\n")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines(events[300:600])))
    (folder / "damaged.jsonl.gz").write_bytes(gzip.compress(lines(map(music_event, range(900, 909))))[:-20])
    header = ",".join(events[0])
    rows = "".join(f"{','.join(map(str, event.values()))}\n" for event in events[600:])
    (folder / "c.csv").write_text(f"{header}\n{rows}")


def without_times(settings: Settings, table: str) -> Any:
    """Return the cells of a table; those of the publication, which depends on the time of the command, are left out."""
    return {
        row_key: {column: versions for column, versions in columns.items() if column[1] != b"published"}
        for row_key, columns in dump(settings, table).items()
    }


@pytest.mark.slow
def test_beam_stores_the_same_cells_as_the_command_in_one_process(
    settings: Settings, tmp_path: Path, ingest: Command
) -> None:
    write_files(tmp_path)
    other = replace(settings, instance_id=f"{settings.instance_id}-beam")
    provision_bigtable(other, RESOURCES.with_retention({"rejected": None}))
    before = datetime.now().date()
    expected = ingest(settings, "--source", str(tmp_path))

    found = ingest(other, "--source", str(tmp_path), "--engine", "beam")

    assert datetime.now().date() == before, "midnight passed during the test"
    assert {**found, "days": {}} == {**expected, "days": {}}
    assert found["stored"] > 900
    assert found["rejected"] == {"not_json": 1, "one_of": 1}
    assert found["unreadable"] == 1
    for table in ("events", "rejected"):
        assert without_times(other, table) == without_times(settings, table) != {}
    assert dump(other, "state", b"late#20240115").keys() == dump(settings, "state", b"late#20240115").keys()


def test_a_pattern_without_a_file_is_reported(settings: Settings, tmp_path: Path, ingest: Command) -> None:
    assert "found no file that matches" in ingest(settings, "--source", f"{tmp_path}/*.x", "--engine", "beam")
