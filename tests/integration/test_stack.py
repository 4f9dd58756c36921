"""The whole stack as a person starts and ends it, and the whole loop through it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import Stack
from tests.support.processes import free_port
from tests.support.samples import ROOT, SPARKIFY, SPARKIFY_CONTRACT, cells, dump

SLUICE = Path(sys.executable).with_name("sluice")

needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"the real logs aren't there: {SPARKIFY}")


def processes_of(session: int) -> list[str]:
    """Return the command lines of what a command has started, found by a mark in the environment."""
    mark = f"SLUICE_TEST={session}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (
                mark in (path / "environ").read_bytes()
                and (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            ):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


class Command:
    """A `sluice` command in a process of its own, and all it leaves behind."""

    number = 0

    def __init__(self, *arguments: str, **environment: str) -> None:
        Command.number += 1
        self.mark = os.getpid() * 1000 + Command.number
        env = {**os.environ, "SLUICE_TEST": str(self.mark), "PYTHONUNBUFFERED": "1", **environment}
        self.process = subprocess.Popen(
            [str(SLUICE), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            cwd=ROOT,
            start_new_session=True,
        )

    def end(self, seconds: float = 60) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out

    def left(self) -> list[str]:
        give_up = time.monotonic() + 15
        while (found := processes_of(self.mark)) and time.monotonic() < give_up:
            time.sleep(0.05)
        return found


@pytest.fixture
def start(emulators: Any) -> Iterator[Callable[..., Command]]:
    """Start commands that end with the test at the latest."""
    commands: list[Command] = []

    def start(*arguments: str, **environment: str) -> Command:
        commands.append(Command(*arguments, **environment))
        return commands[-1]

    yield start
    for command in commands:
        if command.process.poll() is None:
            command.process.terminate()
        command.process.communicate(timeout=30)


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, str]:
    """Nothing of another stack in the environment, and a temporary folder of one's own."""
    return {"BIGTABLE_EMULATOR_HOST": "", "PUBSUB_EMULATOR_HOST": "", "TMPDIR": str(tmp_path)}


def test_run_shows_the_whole_loop_and_leaves_nothing(
    start: Callable[..., Command], plain: dict[str, str], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"

    command = start("run", "--report", str(report), **plain)
    code, out = command.end()

    assert code == 0, out
    assert "1,217 events published: 1,185 stored, 16 rejected, 16 duplicates" in out
    assert "aggregated by the job aggregate-daily of the local schedule" in out
    found = json.loads(report.read_text())
    assert found["published"] == found["stored"] + found["rejected_events"] + found["duplicates"] == 1217
    assert set(found["days"]) == {"2024-01-15", "2024-01-16", "2024-01-17"}
    assert command.left() == []
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@needs_sparkify
def test_run_with_the_real_logs(start: Callable[..., Command], plain: dict[str, str], tmp_path: Path) -> None:
    report = tmp_path / "report.json"

    code, out = start(
        "run", "--source", str(SPARKIFY), "--contract", str(SPARKIFY_CONTRACT), "--report", str(report), **plain
    ).end()

    assert code == 0, out
    found = json.loads(report.read_text())
    assert (found["published"], found["stored"], found["rejected"]) == (8042, 7756, {"null": 286})
    assert (found["rejected_events"], found["duplicates"], len(found["days"])) == (286, 0, 30)
    assert found["days"]["2018-11-15"] == {"events": 522, "users": 25}
    assert found["days"]["2018-11-21"] == {"events": 493, "users": 28}


@pytest.fixture(scope="module")
def up(emulators: Any) -> Iterator[dict[str, str]]:
    """A stack in another process; yields the variables that it tells to paste."""
    command = Command("up", BIGTABLE_EMULATOR_HOST="", PUBSUB_EMULATOR_HOST="")
    assert command.process.stdout is not None
    lines = []
    for line in command.process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    text = "".join(lines)
    try:
        assert re.search(r"function ingest +http://127\.0\.0\.1:\d+/", text), text
        yield dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
    finally:
        command.process.send_signal(signal.SIGINT)
        code, out = command.end()
    assert (code, command.left()) == (130, []), out


def sluice(environment: dict[str, str], *arguments: str) -> str:
    env = {**os.environ, **environment}
    result = subprocess.run([str(SLUICE), *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_publishing_twice_into_a_running_stack_changes_nothing(up: dict[str, str]) -> None:
    from shared.config import Settings

    settings = Settings.from_environment(up)

    def tables(count: int) -> Any:
        give_up = time.monotonic() + 30
        while len(list(cells(dump(settings, "events"), "e"))) + len(dump(settings, "rejected")) < count:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        return dump(settings, "events"), sorted(dump(settings, "rejected"))

    assert "1,217 events published to events in 13 messages" in sluice(up, "publish", "--source", "data")
    first = tables(1185 + 16)
    sluice(up, "publish", "--source", "data")
    extra = '{"event_id":"last","userId":"last","timestamp":"2024-01-18T00:00:00Z","event_type":"click"}'
    subprocess.run(
        [str(SLUICE), "publish", "--source", "-"], input=extra.encode(), env={**os.environ, **up}, check=True
    )
    again, rejected = tables(1185 + 16 + 1)
    again = {key: row for key, row in again.items() if b"#last" not in key}

    assert (again, rejected) == first
    assert [
        json.loads(each)["event_id"] for each in sluice(up, "events", "last", "--start", "2024-01-18").splitlines()
    ] == ["last"]


def test_provisioning_a_running_stack_changes_nothing(up: dict[str, str]) -> None:
    """Its subscriptions are more hurried than those on Google Cloud, and stay so."""
    assert sluice(up, "provision") == "no changes\n"


def test_doctor_tells_what_the_running_stack_has_done(up: dict[str, str]) -> None:
    def told() -> dict[str, str]:
        return {each["what"]: each["text"] for each in json.loads(sluice(up, "doctor", "--json"))}

    def messages(told: dict[str, str]) -> int:
        return int(told["ingest"].split()[0].replace(",", ""))

    before = messages(told())
    sluice(up, "publish", "--source", "data")
    give_up = time.monotonic() + 30
    while messages(now := told()) < before + 13:  # the function logs once in five seconds
        assert time.monotonic() < give_up
    assert re.fullmatch(
        r"\d+ messages: [\d,]+ events stored(, [\d,]+ of them again)?, \d+ rejected \(.*null \d.*\)", now["ingest"]
    )
    assert re.fullmatch(r"\d+ messages delivered, 0 not taken", now["relay"])
    assert now["aggregate"] == "days computed: 0"


def test_cbt_sees_the_layout(up: dict[str, str]) -> None:
    sluice(up, "ingest", "--source", "data/sample_events.csv")
    sluice(up, "aggregate", "--date", "2024-01-15")

    def cbt(*arguments: str) -> str:
        command = ["cbt", "-project", up["GCP_PROJECT_ID"], "-instance", up["BIGTABLE_INSTANCE"], *arguments]
        return subprocess.run(command, env={**os.environ, **up}, capture_output=True, text=True, check=True).stdout

    assert cbt("ls").split() == ["aggregates", "events", "rejected", "state"]
    assert re.search(r"^[0-3][0-9a-f]#202401\d\d#user_\d{4}$", cbt("read", "events", "count=1"), re.MULTILINE)
    assert re.search(r"e:\d{11}#evt_\d{5} +@ 2024/01/", cbt("read", "events", "count=1"))
    assert "a:total_events" in cbt("lookup", "aggregates", "all#20240115#all")
    assert "s:run" in cbt("lookup", "state", "run#20240115")
    assert "r:findings" in cbt("read", "rejected", "count=1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_whatever_ends_it_nothing_is_left(
    start: Callable[..., Command], plain: dict[str, str], number: signal.Signals
) -> None:
    """A signal at a moment of the start that is another one each time."""
    command = start("up", **plain)
    time.sleep(random.uniform(0.3, 4))  # the moment is the input here; nothing is awaited

    command.process.send_signal(number)
    code, out = command.end()

    assert code in {130, 128 + number, -number}, out
    assert "Traceback" not in out
    assert command.left() == []


def test_a_part_that_dies_ends_the_rest_and_is_named(start: Callable[..., Command], plain: dict[str, str]) -> None:
    command = start("up", **plain)
    assert command.process.stdout is not None
    for line in command.process.stdout:
        if "Ctrl-C" in line:
            break
    [emulator] = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if _is_ours(path, command.mark, b"cbtemulator")
    ]
    os.kill(emulator, signal.SIGKILL)

    code, out = command.end()

    assert code == 1
    assert "sluice: bigtable-emulator ended with exit code -9" in out
    assert command.left() == []


def test_a_busy_port_is_told_before_anything_starts(start: Callable[..., Command], plain: dict[str, str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        code, out = start("up", "--pubsub-port", str(port), **plain).end()

    assert code == 1
    assert f"sluice: pubsub: found port {port} taken" in out


def test_missing_programs_are_told_with_what_installs_them(
    start: Callable[..., Command], plain: dict[str, str], tmp_path: Path
) -> None:
    code, out = start("run", **{**plain, "PATH": str(tmp_path), "CLOUDSDK_ROOT_DIR": ""}).end()

    assert code == 1
    assert "apt-get install google-cloud-cli-bigtable-emulator" in out
    assert "gcloud components install bigtable" in out


def test_a_folder_without_permission_is_told(
    start: Callable[..., Command], plain: dict[str, str], tmp_path: Path
) -> None:
    code, out = start("run", "--report", str(tmp_path / "no" / "r.json"), **plain).end()
    assert (code, "r.json: can't be written" in out) == (1, True)


def test_the_stack_can_be_described(emulators: Any) -> None:
    stack = Stack(functions=False)
    with stack:
        assert "Bigtable emulator" in stack.describe()
        assert stack.relayed("events-ingest") == {}
        stack.check()


def _is_ours(path: Path, mark: int, name: bytes) -> bool:
    try:
        environ = (path.parent / "environ").read_bytes()
        return name in path.read_bytes() and f"SLUICE_TEST={mark}".encode() in environ
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
