"""Processes end with their supervisor: at its end, after an error, a signal, and even kill -9."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.supervisor import Child, Supervisor
from shared.errors import StackError
from tests.support.processes import eventually, is_running, started
from tests.support.samples import ROOT

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
END_SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def name_of(number: signal.Signals) -> str:
    return number.name


def test_processes_end_with_the_block() -> None:
    with Supervisor() as supervisor:
        children = [supervisor.start(f"child-{number}", SLEEP) for number in range(3)]
        supervisor.wait_until(lambda: all("ready" in child.log_tail() for child in children), "no child is ready")
        folder = supervisor.folder
    assert not any(is_running(child.process.pid) for child in children)
    assert not folder.exists()


def test_processes_end_with_an_error() -> None:
    supervisor = Supervisor()

    def fail() -> None:
        with supervisor:
            children.append(supervisor.start("child", SLEEP))
            raise ZeroDivisionError

    children: list[Child] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert not is_running(children[0].process.pid)


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.supervisor._GRACE", 0.2)
    script = """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pid = os.fork()
        if pid: print(pid, flush=True)
        time.sleep(600)
    """
    with Supervisor() as supervisor:
        child = supervisor.start("stubborn", [sys.executable, "-c", textwrap.dedent(script)])
        supervisor.wait_until(lambda: child.log_tail().strip().isdigit(), "the child didn't fork")
        grandchild = int(child.log_tail())
        assert is_running(grandchild)
    assert eventually(lambda: not is_running(child.process.pid) and not is_running(grandchild))


def test_higher_waves_end_first(tmp_path: Path) -> None:
    script = """
        import signal, sys, time
        def write(*_):
            with open(sys.argv[1], "a") as order:
                order.write(sys.argv[2])
            sys.exit()
        signal.signal(signal.SIGTERM, write)
        print("ready", flush=True)
        time.sleep(600)
    """
    order = tmp_path / "order"
    with Supervisor() as supervisor:
        children = [
            supervisor.start(
                f"wave-{wave}", [sys.executable, "-c", textwrap.dedent(script), order, str(wave)], wave=wave
            )
            for wave in (1, 0, 2)
        ]
        supervisor.wait_until(lambda: all("ready" in child.log_tail() for child in children), "no child is ready")
    assert order.read_text() == "210"


def test_a_process_that_ends_by_itself_is_named_with_the_end_of_its_log() -> None:
    with Supervisor() as supervisor:
        supervisor.start("short", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"])
        with pytest.raises(StackError, match=r"short ended with exit code 3; its log ends with:\nthe reason"):
            supervisor.wait_until(lambda: False, "never")


def test_a_process_that_isnt_ready_in_time_is_an_error() -> None:
    with Supervisor() as supervisor:
        supervisor.start("slow", SLEEP)
        with pytest.raises(StackError, match=r"it isn't ready after 0.1 s"):
            supervisor.wait_until(lambda: False, "it isn't ready", seconds=0.1)


def test_a_program_that_cant_be_started_is_named() -> None:
    with Supervisor() as supervisor, pytest.raises(StackError, match=r"thing: /nowhere can't be started: No such file"):
        supervisor.start("thing", ["/nowhere"])


def test_a_log_folder_that_cant_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(StackError, match=r"missing: no folder for logs can be made"), Supervisor():
        pass


@pytest.mark.parametrize("number", [*END_SIGNALS, signal.SIGKILL], ids=name_of)
def test_processes_end_with_their_parent(number: signal.Signals, tmp_path: Path) -> None:
    script = f"""
        import time
        from infra.local.supervisor import Supervisor
        with Supervisor() as supervisor:
            for _ in range(2):
                print(supervisor.start("child", {SLEEP!r}).process.pid, flush=True)
            print("ready", flush=True)
            time.sleep(600)
    """
    with started(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as parent:
        pids = [int(read_line(parent)) for _ in range(2)]
        assert read_line(parent) == "ready\n"
        assert all(map(is_running, pids))

        parent.send_signal(number)
        if number is not signal.SIGKILL:
            parent.send_signal(number)  # a second one, during the shutdown
        parent.wait(20)

    assert eventually(lambda: not any(map(is_running, pids)))
    if number is not signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


SCRIPT = """
    import os, signal, subprocess, tempfile, threading, time
    from infra.local import supervisor as module
    module._GRACE = 0.3
    {before}
    with module.Supervisor() as supervisor:
        child = supervisor.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
        supervisor.wait_until(lambda: "ready" in child.log_tail(), "the child isn't ready")
        print(child.process.pid, flush=True)
        {body}
"""


@contextlib.contextmanager
def supervising(before: str, tmp_path: Path, body: str = "time.sleep(600)") -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor of one child that ignores SIGTERM; `before` and `body` are code around its start."""
    logs = tmp_path / "logs"
    logs.mkdir()
    code = textwrap.dedent(SCRIPT).format(before=textwrap.dedent(before), body=body)
    environment = {**os.environ, "TMPDIR": str(logs), "SLUICE_TEST": str(tmp_path)}
    with (
        (tmp_path / "err").open("w") as err,
        started([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=err, cwd=ROOT, env=environment) as parent,
    ):
        yield parent


def read_line(parent: subprocess.Popen[str]) -> str:
    """Read a line of the output; the time limit of the test ends a wait."""
    assert parent.stdout is not None
    return parent.stdout.readline()


def leftovers(tmp_path: Path) -> list[int]:
    """Return the processes that a test left behind, found by a variable of their environment."""
    variable = f"SLUICE_TEST={tmp_path}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable in (path / "environ").read_bytes().split(b"\0") and is_running(int(path.name)):
                found.append(int(path.name))
    return found


@pytest.mark.parametrize("number", END_SIGNALS, ids=name_of)
def test_a_signal_between_fork_and_registration_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    """A second thread runs: it takes the signals that the main thread masks."""
    before = f"""
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        start = subprocess.Popen.__init__
        def interrupted(self, *args, **kwargs):
            start(self, *args, **kwargs)
            os.kill(os.getpid(), {int(number)})
            time.sleep(0.05)
        subprocess.Popen.__init__ = interrupted
    """
    with supervising(before, tmp_path) as parent:
        assert parent.wait(20) in (-number, 128 + number)

    assert leftovers(tmp_path) == []
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGHUP, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
@pytest.mark.parametrize("body", ["time.sleep(600)", "while True: pass"], ids=["waiting", "computing"])
def test_simultaneous_signals_leave_no_process(numbers: tuple[signal.Signals, ...], body: str, tmp_path: Path) -> None:
    """A terminal that closes sends several signals: a stopped process gets all of them at once when it continues."""
    with supervising("", tmp_path, body) as parent:
        assert is_running(int(read_line(parent)))
        parent.send_signal(signal.SIGSTOP)
        for number in numbers:
            parent.send_signal(number)
        parent.send_signal(signal.SIGCONT)
        parent.wait(20)

    assert leftovers(tmp_path) == []
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=name_of)
def test_a_signal_ends_a_running_loop_with_its_cleanup(number: signal.Signals, tmp_path: Path) -> None:
    """Tasks clean up, and asyncio reports no exception that was never retrieved."""
    before = """
        import asyncio
        async def busy():
            while True:
                await asyncio.sleep(0)
        async def work():
            tasks = [asyncio.create_task(busy()) for _ in range(5)]
            print("looping", flush=True)
            try:
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(0.01)
                print("cleaned up", flush=True)
    """
    with supervising(before, tmp_path, "asyncio.run(work())") as parent:
        read_line(parent)
        assert read_line(parent) == "looping\n"
        parent.send_signal(number)
        out, _ = parent.communicate(timeout=20)

    err = (tmp_path / "err").read_text()
    assert "cleaned up" in out
    assert "never retrieved" not in err
    assert err.count("Traceback") == (1 if number == signal.SIGINT else 0), err  # that of KeyboardInterrupt itself
    assert leftovers(tmp_path) == []


def test_a_second_signal_ends_a_blocked_loop(tmp_path: Path) -> None:
    before = """
        import asyncio
        module._BURST = 0.05
        async def work():
            print("looping", flush=True)
            time.sleep(600)
    """
    with supervising(before, tmp_path, "asyncio.run(work())") as parent:
        read_line(parent)
        assert read_line(parent) == "looping\n"
        parent.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.3)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(20) == 128 + signal.SIGTERM
    assert leftovers(tmp_path) == []


def test_repeated_signals_during_the_shutdown_leave_no_process(tmp_path: Path) -> None:
    """Ctrl-C is sent again and again, for longer than a burst of signals counts as one."""
    with supervising("module._GRACE = 1.5", tmp_path) as parent:
        read_line(parent)

        def interrupt() -> bool:
            parent.send_signal(signal.SIGINT)
            time.sleep(0.02)
            return parent.poll() is not None

        assert eventually(interrupt)

    assert leftovers(tmp_path) == []
    assert list((tmp_path / "logs").iterdir()) == []


def test_an_ignored_sighup_stays_ignored(tmp_path: Path) -> None:
    with supervising("signal.signal(signal.SIGHUP, signal.SIG_IGN)", tmp_path) as parent:
        child = int(read_line(parent))
        parent.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.3)
        assert is_running(child)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(20) == 128 + signal.SIGTERM
    assert leftovers(tmp_path) == []


def test_a_missing_temporary_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/proc/nowhere"])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StackError, match=r"TMPDIR: no folder for logs can be made: No usable temp"), Supervisor():
        pass
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "module",
    [
        "infra.cli.main",
        "infra.local.end_to_end",
        "infra.local.relay",
        "infra.emulators.scheduler.__main__",
        "tests.conftest",
    ],
)
def test_grpc_fork_support_is_off_before_grpc_is_imported(module: str) -> None:
    code = f"""
        import {module}
        import grpc, subprocess
        with grpc.insecure_channel("127.0.0.1:9") as channel:
            grpc.channel_ready_future(channel)  # has threads; with fork support gRPC would warn at a fork
            for _ in range(3):
                subprocess.run(["true"], preexec_fn=lambda: None)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stderr == ""
