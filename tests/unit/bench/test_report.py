"""The recorded runs and the page that shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pytest

from tests.bench.report import machine, page, runs
from tests.bench.report.machine import Machine
from tests.bench.report.runs import Run
from tests.bench.results import Result, alternate, least, most

AMD, INTEL = Machine("AMD EPYC", 2, 24, "Linux"), Machine("Intel(R) Xeon(R)", 2)
RESULT = Result(30_000, "events/s", {"B": 7.996, "C": 13}, {"B": least(8)}, "by hand", {"B": 3_752})


def run(day: int, machine: Machine = AMD, result: Result = RESULT, note: str = "") -> Run:
    return Run(date=date(2026, 1, day), machine=machine, rows={3: result}, minutes=20, note=note)


def saved(folder: Path, *each: Run) -> list[Run]:
    for one in each:
        (folder / one.path.name).write_bytes(one.as_json())
    return runs.load(folder)


def test_the_newest_run_of_each_machine_is_loaded(tmp_path: Path) -> None:
    found = saved(tmp_path, run(1), run(3), run(2, INTEL), run(4, Machine("AMD EPYC", 4)))

    assert found == [run(4, Machine("AMD EPYC", 4)), run(3), run(2, INTEL)]


def test_machines_with_the_same_processor_differ_by_their_kernel(tmp_path: Path) -> None:
    other = replace(AMD, system="Linux 7")

    assert saved(tmp_path, run(1), run(2, other)) == [run(2, other), run(1)]


def test_the_speed_of_two_busy_processes_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert min(machine._busy(2)) > 0
    monkeypatch.setattr(machine, "_busy", lambda processes: [100] if processes == 1 else [60, 80])

    assert machine.parallel_speed() == 0.7
    assert str(replace(AMD, parallel=0.7)).endswith("two busy processes at 0.70 of one's speed each")


def test_a_partial_record_comes_after_whole_runs_of_any_date(tmp_path: Path) -> None:
    assert saved(tmp_path, run(1), run(2, INTEL, note="Partial.")) == [run(1), run(2, INTEL, note="Partial.")]


def test_a_partial_record_never_replaces_a_whole_run(tmp_path: Path) -> None:
    assert saved(tmp_path, run(1), run(2, note="Partial.")) == [run(1)]


def test_a_run_is_named_after_its_day_and_machine() -> None:
    assert run(1, INTEL).path == runs.FOLDER / "2026-01-01-intel-r-xeon-r-2-cores.json"


def test_an_unknown_key_of_a_recorded_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(run(1).as_json().replace(b'"minutes"', b'"hours"'))

    with pytest.raises(msgspec.ValidationError, match="hours"):
        runs.load(tmp_path)


def test_what_several_machines_measured_is_side_by_side() -> None:
    other = Result(40_000, "events/s", {"B": 6}, {"B": least(8)}, "")

    text = page.markdown([run(1), run(2, INTEL, other)])

    assert "| # | measure | target | AMD EPYC, 2026-01-01 | Intel(R) Xeon(R), 2026-01-02 |" in text
    assert "| 3 | this project, events/s |  | 30,000 | 40,000 |" in text
    assert "| 3 | ratio: B | ≥ 8 | 7.996 | 6 |" in text
    assert "| 3 | ratio: C |" not in text


def test_one_machine_has_no_differences() -> None:
    assert "## What differed" not in page.markdown([run(1)])


def test_a_whole_run_lists_the_rows_that_it_did_not_measure() -> None:
    text = page.markdown([run(1)])

    assert (
        "| 3 | a file of a million events into the store | 30,000 events/s | B 7.996 (≥ 8)<br>C 13 | B 3,752 | **no** |"
        in text
    )
    assert "| 1 | messages of one event | not measured |  |  |  |" in text
    assert "20 minutes, 2 cores (AMD EPYC), 24 GiB, Linux." in text
    assert "3. by hand." in text


def test_a_partial_record_lists_its_rows_alone_with_its_note() -> None:
    text = page.markdown([run(1, note="Four figures.", result=Result(None, "MiB", {"a": 1}, {}, ""))])

    assert "Four figures." in text
    assert "| 3 | a file of a million events into the store | not recorded | a 1 |  | no target |" in text
    assert "not measured" not in text


def test_targets_are_bounds_of_ratios() -> None:
    assert most(1.3).met(1.3)
    assert not most(1.3).met(1.301)
    assert least(0.65).met(0.65)
    assert not least(0.65).met(0.649)
    assert not RESULT.target_met


def test_measurements_take_turns_and_some_run_once() -> None:
    order: list[str] = []
    values = iter(range(10))

    def measured(name: str) -> float:
        order.append(name)
        return next(values)

    found = alternate({"a": lambda: measured("a"), "b": lambda: measured("b")}, 3, once=["b"])

    assert order == ["a", "b", "a", "a"]
    assert found == {"a": 2, "b": 1}
