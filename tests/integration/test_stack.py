"""`sluice run` and `sluice up` start the local stack, process events, and leave no process or file behind."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import Stack
from tests.support.processes import DEFAULT_SIGNALS
from tests.support.samples import ROOT, SPARKIFY, SPARKIFY_CONTRACT, cells, dump

SLUICE = Path(sys.executable).with_name("sluice")

needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"the real logs are missing: {SPARKIFY}")


def processes_of(mark: int) -> list[str]:
    """Return the command lines of the processes of a command, found by a variable of their environment."""
    variable = f"SLUICE_TEST={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (
                variable in (path / "environ").read_bytes()
                and (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            ):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


class Command:
    """A `sluice` command in a separate process."""

    number = 0

    def __init__(self, *arguments: str, **environment: str) -> None:
        Command.number += 1
        self.mark = os.getpid() * 1000 + Command.number
        env = {**os.environ, "SLUICE_TEST": str(self.mark), "PYTHONUNBUFFERED": "1", **environment}
        self.process = subprocess.Popen(
            [*DEFAULT_SIGNALS, str(SLUICE), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            cwd=ROOT,
            start_new_session=True,
        )

    def read_until(self, text: str) -> str:
        """Return the output up to the line with a text; the time limit of the test ends a wait."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if text in line:
                break
        return "".join(lines)

    def end(self, seconds: float = 60) -> tuple[int, str]:
        """Wait for the end; return exit code and output."""
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out

    def leftovers(self) -> list[str]:
        """Return the command lines of the processes that still run 15 s after its end."""
        give_up = time.monotonic() + 15
        while (found := processes_of(self.mark)) and time.monotonic() < give_up:
            time.sleep(0.05)
        return found


@pytest.fixture
def start(emulators: Any) -> Iterator[Callable[..., Command]]:
    """Return a function that starts a command; the command ends with the test at the latest."""
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
    """An environment without another stack, and with a temporary folder of its own."""
    return {"BIGTABLE_EMULATOR_HOST": "", "PUBSUB_EMULATOR_HOST": "", "TMPDIR": str(tmp_path)}


@pytest.mark.slow
def test_run_shows_its_results_and_leaves_nothing(
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
    assert command.leftovers() == []
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.slow
def test_run_with_googles_emulators_shows_the_same(
    start: Callable[..., Command], plain: dict[str, str], google_emulators: Any
) -> None:
    command = start("run", "--emulators", "google", **plain)
    code, out = command.end()

    assert code == 0, out
    assert "1,217 events published: 1,185 stored, 16 rejected, 16 duplicates" in out
    assert "aggregated by the job aggregate-daily of the local schedule" in out
    assert command.leftovers() == []


@pytest.mark.slow
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
    """Run a stack in another process; yield the variables that it prints, and the address of the read API as QUERY."""
    command = Command("up", BIGTABLE_EMULATOR_HOST="", PUBSUB_EMULATOR_HOST="")
    text = command.read_until("Ctrl-C")
    try:
        assert re.search(r"function ingest +http://127\.0\.0\.1:\d+/", text), text
        assert re.search(r"console in the browser +http://127\.0\.0\.1:\d+/", text), text
        query = re.search(r"function query +(http://127\.0\.0\.1:\d+/)", text)
        assert query, text
        yield {"QUERY": query[1], **dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))}
    finally:
        command.process.send_signal(signal.SIGINT)
        code, out = command.end()
    assert (code, command.leftovers()) == (130, []), out


def sluice(environment: dict[str, str], *arguments: str) -> str:
    env = {**os.environ, **environment}
    result = subprocess.run([str(SLUICE), *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_up_starts_the_read_api(up: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{up['QUERY']}v1/days?from=2024-01-15&to=2024-01-15", timeout=10) as response:
                assert [each["day"] for each in json.load(response)["days"]] == ["2024-01-15"]
                return
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "query doesn't answer"
            time.sleep(0.05)


@pytest.mark.slow
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


@pytest.mark.slow
def test_provisioning_a_running_stack_changes_nothing(up: dict[str, str]) -> None:
    """Its subscriptions keep their shorter backoff than those on Google Cloud."""
    assert sluice(up, "provision") == "no changes\n"


@pytest.mark.slow
def test_doctor_shows_the_counts_of_the_running_stack(up: dict[str, str]) -> None:
    def texts() -> dict[str, str]:
        return {each["what"]: each["text"] for each in json.loads(sluice(up, "doctor", "--json"))}

    def messages(texts: dict[str, str]) -> int:
        return int(texts["ingest"].split()[0].replace(",", ""))

    before = messages(texts())
    sluice(up, "publish", "--source", "data")
    give_up = time.monotonic() + 30
    while messages(now := texts()) < before + 13:  # the function logs once a second
        assert time.monotonic() < give_up
    assert re.fullmatch(
        r"\d+ messages: [\d,]+ events stored(, [\d,]+ of them duplicates)?, \d+ rejected \(.*null \d.*\)", now["ingest"]
    )
    assert re.fullmatch(
        r"\d+ messages delivered, 0 failed(, \d+ waiting, 0 dead letters)?; "  # Google's emulator doesn't count them
        r"half of them stored within [\d,]+ ms, 95 % within [\d,]+ ms",
        now["delivery"],
    )
    assert now["aggregate"] == "days computed: 0"


@pytest.fixture
def cbt_program() -> str:
    """The path of Google's `cbt`; without it the test is skipped, or fails where CI is set."""
    found = shutil.which("cbt")
    if found is None:
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report("cbt isn't installed: apt-get install google-cloud-cli-cbt")
    return found


@pytest.mark.slow
def test_cbt_sees_the_layout(cbt_program: str, up: dict[str, str]) -> None:
    sluice(up, "ingest", "--source", "data/sample_events.csv")
    sluice(up, "aggregate", "--date", "2024-01-15")

    def cbt(*arguments: str) -> str:
        command = [cbt_program, "-project", up["GCP_PROJECT_ID"], "-instance", up["BIGTABLE_INSTANCE"], *arguments]
        return subprocess.run(command, env={**os.environ, **up}, capture_output=True, text=True, check=True).stdout

    assert cbt("ls").split() == ["aggregates", "events", "rejected", "state"]
    assert re.search(r"^[0-3][0-9a-f]#202401\d\d#user_\d{4}$", cbt("read", "events", "count=1"), re.MULTILINE)
    assert re.search(r"e:\d{11}#evt_\d{5} +@ 2024/01/", cbt("read", "events", "count=1"))
    assert "a:total_events" in cbt("lookup", "aggregates", "all#20240115#all")
    assert "s:run" in cbt("lookup", "state", "run#20240115")
    assert "r:findings" in cbt("read", "rejected", "count=1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_a_signal_at_any_moment_leaves_nothing(
    start: Callable[..., Command], plain: dict[str, str], number: signal.Signals
) -> None:
    """The signal comes at a random moment of the start."""
    command = start("up", **plain)
    time.sleep(random.uniform(0.3, 4))  # the moment is the input of the test

    command.process.send_signal(number)
    code, out = command.end()

    assert code in {130, 128 + number, -number}, out
    assert "Traceback" not in out
    assert command.leftovers() == []


@pytest.mark.slow
def test_a_part_that_ends_is_named_and_ends_the_others(start: Callable[..., Command], plain: dict[str, str]) -> None:
    command = start("up", **plain)
    command.read_until("Ctrl-C")
    [emulator] = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if _belongs_to(path, command.mark, b"infra.emulators")
    ]
    os.kill(emulator, signal.SIGKILL)

    code, out = command.end()

    assert code == 1
    assert "sluice: emulators ended with exit code -9" in out
    assert command.leftovers() == []


def test_a_taken_port_is_an_error_before_any_part_starts(start: Callable[..., Command], plain: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out = start("up", "--emulators-port", str(port), **plain).end()

    assert code == 1
    assert f"sluice: emulators: found port {port} taken" in out


def test_the_error_for_a_missing_program_names_the_commands_that_install_it(
    start: Callable[..., Command], plain: dict[str, str], tmp_path: Path
) -> None:
    environment = {**plain, "PATH": str(tmp_path), "CLOUDSDK_ROOT_DIR": "", "EMULATORS": "google"}
    code, out = start("run", **environment).end()

    assert code == 1
    assert "apt-get install google-cloud-cli-bigtable-emulator" in out
    assert "gcloud components install bigtable" in out


def test_a_report_that_cant_be_written_is_an_error(
    start: Callable[..., Command], plain: dict[str, str], tmp_path: Path
) -> None:
    code, out = start("run", "--report", str(tmp_path / "no" / "r.json"), **plain).end()
    assert (code, "r.json: can't be written" in out) == (1, True)


def test_the_stack_can_be_described(emulators: Any) -> None:
    stack = Stack(functions=())
    with stack:
        assert "Bigtable, Pub/Sub, Cloud Scheduler" in stack.describe()
        assert stack.deliveries("events-ingest") == {}
        stack.check()


def _belongs_to(path: Path, mark: int, name: bytes) -> bool:
    try:
        environ = (path.parent / "environ").read_bytes()
        return name in path.read_bytes() and f"SLUICE_TEST={mark}".encode() in environ
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
