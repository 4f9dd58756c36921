"""The figures of a local stack are those that its functions log, however far they have come with writing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture
from rich.console import Console

from infra.cli import live_stats
from infra.cli.live_stats import show_live_stats
from infra.local.stack_file import StackFile
from infra.local.stats import Follower, LiveStats


def line(event: str, message: str = "", severity: str = "INFO", **fields: Any) -> str:
    return (
        json.dumps({"severity": severity, "event": event, "message": message, **fields, "labels": {"function": "x"}})
        + "\n"
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "ingest.log"


def follower(log: Path) -> Follower:
    return Follower({"ingest": log, "aggregate": log.with_name("aggregate.log")}, log.with_name("relay.json"))


def test_before_anything_is_written_all_is_nothing(log: Path) -> None:
    figures = follower(log).look()

    assert figures == LiveStats()
    assert figures.lines() == {
        "ingest": "0 messages: 0 events stored, 0 rejected",
        "aggregate": "days computed: 0",
        "relay": "0 messages delivered, 0 not taken",
    }


def test_summaries_are_added_up_as_they_come(log: Path) -> None:
    following = follower(log)
    log.write_text(line("ingest_summary", stored=90, rejected=0, duplicate=4, messages=2))
    assert following.look().events == {"stored": 90, "rejected": 0, "duplicate": 4, "messages": 2}

    with log.open("a") as file:
        file.write(line("ingest_summary", severity="WARNING", stored=1_910, rejected=3, null=2, type=2, messages=1))
    log.with_name("aggregate.log").write_text(line("day_aggregated", day="2024-01-15", events=5))
    log.with_name("relay.json").write_text('{"a": {"delivered": 3}, "b": {"delivered": 1, "failed": 2}}')

    assert following.look().lines() == {
        "ingest": "3 messages: 2,000 events stored, 4 of them again, 3 rejected (null 2, type 2)",
        "aggregate": "days computed: 1",
        "relay": "4 messages delivered, 2 not taken",
    }


def test_a_line_that_is_being_written_is_read_when_it_is_whole(log: Path) -> None:
    following = follower(log)
    whole = line("ingest_summary", stored=1, messages=1)
    log.write_text(whole + whole[:20])
    assert following.look().events["stored"] == 1

    with log.open("a") as file:
        file.write(whole[20:])
    assert following.look().events["stored"] == 2


def test_warnings_and_errors_are_counted_and_the_last_is_told(log: Path) -> None:
    log.write_text(
        line("message_failed", "bigtable is away", "WARNING")
        + line("message_failed", "bigtable is away", "WARNING", left_out=40)
        + "[notice] a server's own words\n"
        + line("day_aggregated", "too many rejected", "WARNING", day="2024-01-15")
        + line("days_requested", days=["2024-01-15"])
        + line("message_failed", "x" * 1_000, "ERROR", day="2024-01-16")
    )

    figures = follower(log).look()

    assert figures.problems == {"WARNING": 43, "ERROR": 1}
    assert figures.days == 1
    assert figures.lines()["problems"] == f"ERROR 1, WARNING 43; the last: ingest: {'x' * 152}"


def test_a_stack_is_found_by_where_its_bigtable_is(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(tempfile, "gettempdir", return_value=str(tmp_path))
    for name in ("a", "b"):
        folder = tmp_path / f"sluice-{name}"
        folder.mkdir()
        StackFile({"BIGTABLE_EMULATOR_HOST": name}, {"ingest": folder / "log"}, folder / "stats").write(folder)
    (tmp_path / "sluice-0").mkdir()
    (tmp_path / "sluice-0" / "stack.json").write_text("nonsense")

    found = StackFile.find("b")

    assert found == StackFile(
        {"BIGTABLE_EMULATOR_HOST": "b"}, {"ingest": tmp_path / "sluice-b" / "log"}, tmp_path / "sluice-b" / "stats"
    )
    assert StackFile.find("c") is None


def test_in_a_pipe_changes_are_lines_and_seldom(mocker: MockerFixture, capsys: pytest.CaptureFixture[str]) -> None:
    clock = mocker.patch.object(live_stats.time, "monotonic", return_value=100.0)
    figures = LiveStats()
    with show_live_stats(Console(force_terminal=False)) as show:
        show(figures)
        assert capsys.readouterr().out == ""
        figures.days = 1
        show(figures)
        assert capsys.readouterr().out == "aggregate: days computed: 1\n"
        figures.days = 2
        show(figures)
        assert capsys.readouterr().out == ""
        clock.return_value = 105.0
        show(figures)
        assert capsys.readouterr().out == "aggregate: days computed: 2\n"


def test_on_a_terminal_they_are_drawn_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    shown: Callable[[LiveStats], None]
    with show_live_stats(Console(force_terminal=True, width=40)) as shown:
        shown(LiveStats(days=7))

    assert "days computed: 7" in capsys.readouterr().out
