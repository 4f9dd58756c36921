"""The check of programs before a run of the benchmark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import programs
from tests.bench.preflight import missing_programs
from tests.bench.report.machine import this_machine
from tests.bench.rows import ROWS, numbers_of
from tests.support.samples import ROOT


def preflight(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the first step of `make bench` with the standard library and an empty folder of programs alone."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "tests.bench.preflight", *arguments],
        env={"PATH": str(path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_program_is_one_line_after_the_processor(tmp_path: Path) -> None:
    ran = preflight(tmp_path, "--rows", "9,16")

    assert (ran.returncode, ran.stdout) == (1, f"{this_machine()}\n")
    assert ran.stderr.splitlines() == [
        "bench: rows 9, 16: wrk isn't installed; install it with: apt-get install wrk",
        "bench: row 9: Google's Bigtable emulator isn't installed; install it with: "
        "apt-get install google-cloud-cli-bigtable-emulator, or gcloud components install bigtable",
    ]


def test_only_the_programs_of_the_chosen_rows_are_required(tmp_path: Path) -> None:
    ran = preflight(tmp_path, "--rows", "7,13,14")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{this_machine()}\n", "")


def test_an_unknown_row_is_one_line(tmp_path: Path) -> None:
    ran = preflight(tmp_path, "--rows", "1,99")

    assert ran.returncode == 1
    assert ran.stderr == f"bench: ROWS: found '1,99', expected some of {','.join(map(str, ROWS))}\n"


@pytest.mark.parametrize(("rows", "expected"), [("3", 0), ("1,5", 0), ("1,2", 1)])
def test_beam_is_needed_by_the_rows_with_peer_c(tmp_path: Path, rows: str, expected: int) -> None:
    assert preflight(tmp_path, "--rows", rows, "--needs-beam").returncode == expected


def test_beam_is_required_only_after_its_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "BEAM_PYTHON", tmp_path / "python")

    assert [line for line in missing_programs([3], installed_later={programs.BEAM}) if "Beam" in line] == []
    assert [line for line in missing_programs([3]) if "Beam" in line] == [
        "row 3: Apache Beam in build/bench isn't installed; install it with: make bench"
    ]


def test_row_numbers_are_sorted_and_distinct() -> None:
    assert numbers_of("5,1,5") == [1, 5]
