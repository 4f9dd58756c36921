"""Beam computes the same days as the function: every cell, with any number of workers, and whatever disturbs a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from infra.beam.driver_process import results, variables_of
from infra.beam.runners import LocalRunner
from infra.cli.main import main
from infra.provision.bigtable import provision_bigtable
from infra.provision.resources import RESOURCES
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import DataflowSettings, Settings
from shared.contracts.loader import load_contract
from shared.errors import JobError
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import MAX_EVENTS_PER_MESSAGE
from shared.runtime.dataflow import launch_request
from shared.tables.state import StateTable
from shared.timestamps import parse_day
from tests.faults.proxy import Code, FaultProxy, Faults
from tests.support import web_log
from tests.support.processes import eventually, is_running, started
from tests.support.samples import (
    MUSIC_CONTRACT,
    ROOT,
    SPARKIFY,
    SPARKIFY_CONTRACT,
    dump,
    lines,
    message,
    music_event,
    sparkify_records,
)

DAY = date(2024, 1, 15)
REAL_DAYS = [date(2018, 11, 15), date(2018, 11, 21), date(2018, 11, 30)]

T = TypeVar("T")
Cells = dict[tuple[bytes, str, bytes], bytes]


def cells_of_runs(settings: Settings, *days: date) -> Cells:
    """Return the values of all aggregates; each has one version, with the start of its day's run as the timestamp."""
    runs = with_bigtable(settings, lambda bigtable: StateTable(bigtable).runs(min(days), max(days)))
    found: Cells = {}
    for row_key, columns in dump(settings, "aggregates").items():
        day = parse_day(row_key.split(b"#")[1].decode())
        for (family, qualifier), versions in columns.items():
            assert [micros for micros, _ in versions] == [runs[day].micros], row_key
            found[row_key, family, qualifier] = versions[0][1]
    return found


def store(settings: Settings, events: list[dict[str, Any]]) -> None:
    """Store events, published on the day; some may be rejected, but no message is."""

    async def work(bigtable: Bigtable) -> None:
        published = datetime(2024, 1, 15, 23, 59, tzinfo=UTC)
        pipeline = IngestPipeline(bigtable, load_contract(settings.contract))
        for start in range(0, len(events), MAX_EVENTS_PER_MESSAGE):
            data = lines(events[start : start + MAX_EVENTS_PER_MESSAGE])
            await pipeline.process(message(data, published=published))
        assert pipeline.counts["stored"] + pipeline.counts["rejected"] == len(events)

    with_bigtable(settings, work)


def cells_of_the_function(settings: Settings, events: list[dict[str, Any]], *days: date) -> Cells:
    """Store events and return the cells of these days, computed by the code of the function."""

    async def work(bigtable: Bigtable) -> None:
        for day in days:
            await AggregatePipeline(bigtable, load_contract(settings.contract)).run(day)

    store(settings, events)
    with_bigtable(settings, work)
    return cells_of_runs(settings, *days)


def with_bigtable(settings: Settings, work: Callable[[Bigtable], Coroutine[Any, Any, T]]) -> T:
    """Return the result of work with a connection."""

    async def run() -> T:
        bigtable = Bigtable(settings)
        try:
            return await work(bigtable)
        finally:
            await bigtable.close()

    return asyncio.run(run())


def beam(settings: Settings, workers: int = 1, *flags: str, days: str = str(DAY)) -> list[Any]:
    """Compute days with Beam; return the summaries."""
    return list(results("aggregate", [f"--days={days}", *LocalRunner(workers).flags(settings, ""), *flags], settings))


@pytest.fixture
def log(tmp_path: Path) -> list[dict[str, Any]]:
    """The events of the real web log where it exists, else of a generated one."""
    if SPARKIFY.is_dir():
        return sparkify_records()
    web_log.write(tmp_path, REAL_DAYS)
    return sparkify_records(tmp_path)


@pytest.mark.slow
def test_every_cell_of_three_days_equals_the_functions(settings: Settings, log: list[dict[str, Any]]) -> None:
    settings = replace(settings, contract=SPARKIFY_CONTRACT)
    expected = cells_of_the_function(settings, log, *REAL_DAYS)
    assert {row_key.split(b"#")[0] for row_key, _, _ in expected} >= {b"user", b"song", b"quality"}
    assert "m" in {family for _, family, _ in expected}

    for workers in (1, 2, 4):
        summaries = beam(settings, workers, days=",".join(map(str, REAL_DAYS)))

        assert cells_of_runs(settings, *REAL_DAYS) == expected
        assert [summary["swept"] for summary in summaries] == [summary["rows"] for summary in summaries]
        assert sum(summary["rows"] for summary in summaries) == len({row_key for row_key, _, _ in expected})


def busy_day(count: int = 2_000) -> list[dict[str, Any]]:
    """Return events of a day with warnings, repeated ids and rejected events."""
    events = [music_event(number * 37, userId=f"user-{number % 90}", event_id=str(number)) for number in range(count)]
    events += [music_event(number, event_id=f"w-{number}", duration=1e6) for number in range(30)]
    events += [music_event(number, event_id="again", userId="ann") for number in (1, 4_000, 40_000)]
    return [*events, *(music_event(number, event_type="unknown", songId=f"x-{number}") for number in range(9))]


@pytest.mark.slow
def test_the_command_computes_hourly_buckets_warnings_and_rejections(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = tmp_path / "hourly.toml"
    contract.write_text(MUSIC_CONTRACT.read_text().replace('bucket = "day"', 'bucket = "hour"'))
    assert load_contract(contract).bucket == "hour"
    settings = replace(settings, contract=contract)
    expected = cells_of_the_function(settings, busy_day(), DAY)
    for name, value in variables_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["sluice", "aggregate", "--engine", "beam", "--date", str(DAY), "--json"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert (summary["repeated"], summary["rejected"]) == (2, 9)
    assert cells_of_runs(settings, DAY) == expected
    assert (b"quality#20240115#warned", "a", b"range") in expected


@pytest.mark.slow
def test_the_flex_template_computes_the_day_of_its_parameters(settings: Settings, beam_python: Path) -> None:
    """Its parameters are those that the function sends and the metadata describe."""
    expected = cells_of_the_function(settings, busy_day(200), DAY)
    chosen = DataflowSettings(1, "gs://b/t", "gs://b/s", "image", "workers@p", 1)
    launch = launch_request(settings, chosen, DAY)["launchParameter"]
    metadata = json.loads((ROOT / "infra" / "beam" / "template-metadata.json").read_text())
    assert list(launch["parameters"]) == [each["name"] for each in metadata["parameters"]]
    flags = [f"--{name}={value}" for name, value in launch["parameters"].items()]
    command = [beam_python, "-m", "infra.beam.template", *flags, *LocalRunner().flags(settings, "")]

    completed = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables_of(settings)}, capture_output=True, text=True, check=False
    )

    assert completed.returncode == 0, completed.stderr[-3_000:]
    assert cells_of_runs(settings, DAY) == expected
    run = with_bigtable(settings, lambda bigtable: StateTable(bigtable).run(DAY))
    assert run is not None
    assert run.engine == "beam"


@pytest.mark.slow
def test_a_run_after_a_killed_worker_leaves_the_same_cells(
    settings: Settings, other_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [music_event(number, userId=f"user-{number % 900}") for number in range(16_000)]
    expected = cells_of_the_function(other_settings, events, DAY)
    assert len({row_key for row_key, _, _ in expected}) > 900
    store(settings, events)
    monkeypatch.setenv("SLUICE_STORE_DEADLINE", "240")

    def kill_after_the_first_rows() -> None:
        assert eventually(lambda: bool(dump(settings, "aggregates")), 200)
        os.kill(workers_of_beam(settings)[0], signal.SIGKILL)

    killer = Thread(target=kill_after_the_first_rows)
    with FaultProxy(str(settings.bigtable_emulator)) as proxy:
        # No bundle can finish before the kill: each has some of these users, and retries their rows until the deadline.
        proxy.faults = Faults(refuse=(lambda row_key: row_key.endswith(b"7"), Code.UNAVAILABLE))
        killer.start()
        with pytest.raises(JobError, match=r"^a worker process of Beam's local runner was lost: .*-9$"):
            beam(replace(settings, bigtable_emulator=proxy.address), 2)
        killer.join()
    assert not dump(settings, "state", b"run#")
    assert eventually(lambda: not workers_of_beam(settings))

    beam(settings)

    assert cells_of_runs(settings, DAY) == expected


def workers_of_beam(settings: Settings) -> list[int]:
    """Return the running worker processes of a job for an instance."""
    return processes_of_beam(settings, b"sdk_worker_main")


def processes_of_beam(settings: Settings, argument: bytes = b"beam") -> list[int]:
    """Return the running processes of a job for an instance: its driver and its workers."""
    variable = f"BIGTABLE_INSTANCE={settings.instance_id}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
            if variable in variables.split(b"\0") and argument in command and b"sluice\0" not in command:
                found.append(int(folder.name))
    return [pid for pid in found if is_running(pid)]


@pytest.mark.slow
def test_disturbed_runs_leave_the_same_cells(settings: Settings, beam_python: Path) -> None:
    """Bundles are repeated, a step fails, another run overlaps, a late event arrives: see `disturbed_runs`."""
    events, late = busy_day(300), music_event(77, event_id="late", userId="user-5")
    expected = cells_of_the_function(settings, events, DAY)
    instances = {name: new_tables(settings, name) for name in ("repeat", "fail", "overlap", "late")}
    for each in instances.values():
        store(each, events)
    expected_late = cells_of_the_function(new_tables(settings, "expected"), [*events, late], DAY)
    arguments = [json.dumps(late), json.dumps({name: each.instance_id for name, each in instances.items()})]
    completed = subprocess.run(
        [beam_python, "-m", "tests.beam.disturbed_runs", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables_of(settings)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.returncode == 0, completed.stderr[-3_000:]
    outcome = json.loads(completed.stdout)
    assert outcome["fail"][0] == "the table is away"
    for name in ("repeat", "fail", "overlap"):
        assert cells_of_runs(instances[name], DAY) == expected, name
    assert [counted - outcome["late"][0] for counted in outcome["late"]] == [0, 1]
    assert cells_of_runs(instances["late"], DAY) == expected_late
    assert dump(instances["late"], "state", b"late#")


def new_tables(settings: Settings, name: str) -> Settings:
    """Create the tables of a further instance."""
    another = replace(settings, instance_id=f"{settings.instance_id}-{name}")
    provision_bigtable(another, RESOURCES.with_retention({"rejected": None}))
    return another


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_all_processes_end_with_an_interrupted_command(settings: Settings, number: signal.Signals) -> None:
    command = [str(ROOT / ".venv" / "bin" / "sluice"), "aggregate", "--engine", "beam", "--date", str(DAY)]
    with started(command, env={**os.environ, **variables_of(settings)}) as process:
        assert eventually(lambda: bool(processes_of_beam(settings)))
        process.send_signal(number)

        assert process.wait(20) == (130 if number == signal.SIGINT else -number)
        assert eventually(lambda: not processes_of_beam(settings))
