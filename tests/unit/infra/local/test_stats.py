"""The counts of a local stack are the sum of the log lines that its functions have completed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture
from rich.console import Console

from infra.cli import live_stats
from infra.cli.live_stats import show_live_stats
from infra.local.stack_file import StackFile, local_resources
from infra.local.stats import StackCounts, StackCountsReader
from shared.config import Settings


def line(event: str, message: str = "", severity: str = "INFO", **fields: Any) -> str:
    return (
        json.dumps({"severity": severity, "event": event, "message": message, **fields, "labels": {"function": "x"}})
        + "\n"
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "ingest.log"


def reader_of(log: Path) -> StackCountsReader:
    return StackCountsReader(
        {"ingest": log, "aggregate": log.with_name("aggregate.log")}, log.with_name("relay.json"), "p"
    )


def test_without_logs_every_count_is_zero(log: Path) -> None:
    counts = reader_of(log).read()

    assert counts == StackCounts()
    assert counts.lines() == {
        "ingest": "0 messages: 0 events stored, 0 rejected",
        "aggregate": "days computed: 0",
        "delivery": "0 messages delivered, 0 failed",
    }


def test_summaries_are_added_up(log: Path) -> None:
    reader = reader_of(log)
    log.write_text(line("ingest_summary", stored=90, rejected=0, duplicate=4, messages=2))
    assert reader.read().events == {"stored": 90, "rejected": 0, "duplicate": 4, "messages": 2}

    with log.open("a") as file:
        file.write(line("ingest_summary", severity="WARNING", stored=1_910, rejected=3, null=2, type=2, messages=1))
    log.with_name("aggregate.log").write_text(line("day_aggregated", day="2024-01-15", events=5))
    log.with_name("relay.json").write_text('{"a": {"delivered": 3}, "b": {"delivered": 1, "failed": 2}}')

    assert reader.read().lines() == {
        "ingest": "3 messages: 2,000 events stored, 4 of them duplicates, 3 rejected (null 2, type 2)",
        "aggregate": "days computed: 1",
        "delivery": "4 messages delivered, 2 failed",
    }


def test_latencies_backlog_and_dead_letters_are_those_of_the_events_of_the_project(log: Path) -> None:
    prefix, other = "projects/p/subscriptions", "projects/other/subscriptions"
    of_ingest = {"delivered": 10, "unacknowledged": 7, "within_5_ms": 9, "within_200_ms": 1}
    counts = {
        f"{prefix}/events-ingest": of_ingest,
        f"{prefix}/events-dead-letter-keep": {"unacknowledged": 2},
        f"{prefix}/aggregate-run": {"unacknowledged": 100, "within_60000_ms": 100},
        f"{other}/events-ingest": {"unacknowledged": 1_000},
    }
    log.with_name("relay.json").write_text(json.dumps(counts))

    found = reader_of(log).read()

    assert (found.backlog, found.dead_letters) == (7, 2)
    assert found.lines()["delivery"] == (
        "10 messages delivered, 0 failed, 7 waiting, 2 dead letters; half of them stored within 5 ms, "
        "95 % within 200 ms"
    )


def test_without_dead_letters_their_number_is_zero_and_without_a_backlog_it_is_unknown(log: Path) -> None:
    reader = reader_of(log)
    log.with_name("relay.json").write_text('{"projects/p/subscriptions/events-ingest": {"unacknowledged": 0}}')
    assert reader.read().dead_letters == 0

    log.with_name("relay.json").write_text('{"projects/p/subscriptions/events-ingest": {"delivered": 3}}')
    found = reader_of(log).read()
    assert (found.backlog, found.dead_letters) == (None, None)


def test_an_incomplete_line_is_read_when_it_is_complete(log: Path) -> None:
    reader = reader_of(log)
    complete = line("ingest_summary", stored=1, messages=1)
    log.write_text(complete + complete[:20])
    assert reader.read().events["stored"] == 1

    with log.open("a") as file:
        file.write(complete[20:])
    assert reader.read().events["stored"] == 2


def test_warnings_and_errors_are_counted_and_the_latest_is_shown(log: Path) -> None:
    log.write_text(
        line("message_failed", "bigtable is away", "WARNING")
        + line("message_failed", "bigtable is away", "WARNING", left_out=40)
        + "[notice] a line of the server\n"
        + line("day_aggregated", "too many rejected", "WARNING", day="2024-01-15")
        + line("days_requested", days=["2024-01-15"])
        + line("message_failed", "x" * 1_000, "ERROR", day="2024-01-16")
    )

    counts = reader_of(log).read()

    assert counts.problems == {"WARNING": 43, "ERROR": 1}
    assert counts.days == 1
    assert counts.lines()["problems"] == f"ERROR 1, WARNING 43; the latest: ingest: {'x' * 152}"


def test_a_stack_is_found_by_the_address_of_its_bigtable(tmp_path: Path, mocker: MockerFixture) -> None:
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


def test_the_file_of_a_killed_stack_isnt_found(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(tempfile, "gettempdir", return_value=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    for name, pid in (("a", ended.pid), ("b", os.getpid())):
        folder = tmp_path / f"sluice-{name}"
        folder.mkdir()
        StackFile({"BIGTABLE_EMULATOR_HOST": "h"}, {}, folder / "stats", pid=pid).write(folder)

    found = StackFile.find("h")

    assert found is not None
    assert found.pid == os.getpid()


@pytest.mark.parametrize(("name", "expected"), [("sluice", "http://127.0.0.1:1/"), ("shop", "")])
def test_a_stack_pushes_to_its_functions_for_its_own_pipeline_only(
    tmp_path: Path, mocker: MockerFixture, name: str, expected: str
) -> None:
    mocker.patch.object(tempfile, "gettempdir", return_value=str(tmp_path))
    folder = tmp_path / "sluice-a"
    folder.mkdir()
    environment = {"GCP_PROJECT_ID": "p", "SLUICE_NAME": "sluice", "BIGTABLE_EMULATOR_HOST": "a"}
    push = {"ingest": "http://127.0.0.1:1/", "aggregate": "http://127.0.0.1:1/"}
    StackFile(environment, {}, folder / "stats", push).write(folder)

    settings = Settings(project_id="p", instance_id="i", name=name, bigtable_emulator="a")
    subscriptions = local_resources(settings, {}).subscriptions

    assert {each.push_endpoint for each in subscriptions if each.function} == {expected}


@pytest.mark.parametrize(("configured", "expected"), [(0, ["*/15 * * * *"]), (60, ["0 */1 * * *"])])
def test_the_intraday_job_of_a_stack_stays_unless_another_interval_is_configured(
    tmp_path: Path, mocker: MockerFixture, configured: int, expected: list[str]
) -> None:
    mocker.patch.object(tempfile, "gettempdir", return_value=str(tmp_path))
    folder = tmp_path / "sluice-a"
    folder.mkdir()
    environment = {"GCP_PROJECT_ID": "p", "SLUICE_NAME": "sluice", "BIGTABLE_EMULATOR_HOST": "a"}
    StackFile(environment, {}, folder / "stats", intraday_minutes=15).write(folder)

    jobs = local_resources(Settings("p", "i", bigtable_emulator="a"), {}, configured).jobs

    assert [job.schedule for job in jobs[1:]] == expected
    assert len(local_resources(Settings("p", "i", bigtable_emulator="b"), {}).jobs) == 1


def test_in_a_pipe_changes_are_lines_at_intervals(mocker: MockerFixture, capsys: pytest.CaptureFixture[str]) -> None:
    clock = mocker.patch.object(live_stats.time, "monotonic", return_value=100.0)
    counts = StackCounts()
    with show_live_stats(Console(force_terminal=False)) as show:
        show(counts)
        assert capsys.readouterr().out == ""
        counts.days = 1
        show(counts)
        assert capsys.readouterr().out == "aggregate: days computed: 1\n"
        counts.days = 2
        show(counts)
        assert capsys.readouterr().out == ""
        clock.return_value = 105.0
        show(counts)
        assert capsys.readouterr().out == "aggregate: days computed: 2\n"


def test_on_a_terminal_the_counts_are_drawn_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    shown: Callable[[StackCounts], None]
    with show_live_stats(Console(force_terminal=True, width=40)) as shown:
        shown(StackCounts(days=7))

    assert "days computed: 7" in capsys.readouterr().out
