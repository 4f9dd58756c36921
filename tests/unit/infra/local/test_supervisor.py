"""Processes end with their supervisor: by its end, an error, a signal, and even kill -9."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.ports import accepts, claim_port, free_port, free_ports
from infra.local.supervisor import Child, Supervisor
from shared.errors import StackError
from tests.support.samples import ROOT

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


def test_processes_end_with_the_block() -> None:
    with Supervisor() as supervisor:
        children = [supervisor.start(f"child-{number}", SLEEP) for number in range(3)]
        supervisor.wait_until(lambda: all("ready" in child.last_words() for child in children), "no child is ready")
        folder = supervisor.folder
    assert not any(alive(child.process.pid) for child in children)
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
    assert not alive(children[0].process.pid)


def test_one_that_ignores_sigterm_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
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
        supervisor.wait_until(lambda: child.last_words().strip().isdigit(), "it didn't fork")
        grandchild = int(child.last_words())
        assert alive(grandchild)
    assert eventually(lambda: not alive(child.process.pid) and not alive(grandchild))


def test_higher_waves_end_first(tmp_path: Path) -> None:
    script = """
        import signal, sys, time
        def tell(*_):
            with open(sys.argv[1], "a") as told:
                told.write(sys.argv[2])
            sys.exit()
        signal.signal(signal.SIGTERM, tell)
        print("ready", flush=True)
        time.sleep(600)
    """
    told = tmp_path / "told"
    with Supervisor() as supervisor:
        children = [
            supervisor.start(
                f"wave-{wave}", [sys.executable, "-c", textwrap.dedent(script), told, str(wave)], wave=wave
            )
            for wave in (1, 0, 2)
        ]
        supervisor.wait_until(lambda: all("ready" in child.last_words() for child in children), "no child is ready")
    assert told.read_text() == "210"


def test_one_that_ends_by_itself_is_told_with_its_last_words() -> None:
    with Supervisor() as supervisor:
        supervisor.start("short", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"])
        with pytest.raises(StackError, match=r"short ended with exit code 3; its last words:\nthe reason"):
            supervisor.wait_until(lambda: False, "never")


def test_one_that_isnt_ready_in_time_is_told() -> None:
    with Supervisor() as supervisor:
        supervisor.start("slow", SLEEP)
        with pytest.raises(StackError, match=r"it isn't ready after 0.1 s"):
            supervisor.wait_until(lambda: False, "it isn't ready", seconds=0.1)


def test_a_program_that_cant_be_started_is_named() -> None:
    with Supervisor() as supervisor, pytest.raises(StackError, match=r"thing: /nowhere can't be started: No such file"):
        supervisor.start("thing", ["/nowhere"])


def test_a_place_without_permission_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(StackError, match=r"missing: no folder for logs can be made"), Supervisor():
        pass


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert accepts(port)
        with pytest.raises(StackError, match=f"bigtable: found port {port} taken"):
            claim_port("bigtable", port)
    assert not accepts(port)
    assert claim_port("bigtable", port) == port
    assert free_port() > 1023


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
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
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[4],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    with parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        assert parent.stdout.readline() == "ready\n"
        assert all(map(alive, pids))

        parent.send_signal(number)
        if number is not signal.SIGKILL:
            parent.send_signal(number)  # a second one, while it is ending
        parent.wait(20)

    assert eventually(lambda: not any(map(alive, pids)))
    if number is not signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


ATTACKED = """
    import os, signal, subprocess, tempfile, threading, time
    from infra.local import supervisor as module
    module._GRACE = 0.3
    {before}
    with module.Supervisor() as supervisor:
        child = supervisor.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
        supervisor.wait_until(lambda: "ready" in child.last_words(), "the child isn't ready")
        print(child.process.pid, flush=True)
        {body}
"""


def attacked(before: str, tmp_path: Path, body: str = "time.sleep(600)") -> subprocess.Popen[str]:
    logs = tmp_path / "logs"
    logs.mkdir()
    with (tmp_path / "err").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(ATTACKED).format(before=textwrap.dedent(before), body=body)],
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            cwd=Path(__file__).parents[4],
            env={**os.environ, "TMPDIR": str(logs), "SLUICE_ATTACK": str(tmp_path)},
            start_new_session=True,
        )


def attacked_alive(tmp_path: Path) -> bool:
    """Whether anything runs that was started with the mark of this test in its environment."""
    mark = f"SLUICE_ATTACK={tmp_path}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (path / "environ").read_bytes().split(b"\0") and alive(int(path.name)):
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_between_the_fork_and_the_list_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """With a second thread, which takes the signals that the main thread masks."""
    before = f"""
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        start = subprocess.Popen.__init__
        def interrupted(self, *args, **kwargs):
            start(self, *args, **kwargs)
            os.kill(os.getpid(), {int(number)})
            time.sleep(0.05)
        subprocess.Popen.__init__ = interrupted
    """
    with attacked(before, tmp_path) as parent:
        assert parent.wait(20) in (-number, 128 + number)

    assert not attacked_alive(tmp_path)
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGHUP, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
@pytest.mark.parametrize("body", ["time.sleep(600)", "while True: pass"], ids=["waiting", "computing"])
def test_signals_that_come_together_leave_nothing(
    numbers: tuple[signal.Signals, ...], body: str, tmp_path: Path
) -> None:
    """As when a terminal closes: while the process is stopped they gather, and then all of them are handled at once."""
    with attacked("", tmp_path, body) as parent:
        assert parent.stdout is not None
        assert alive(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGSTOP)
        for number in numbers:
            parent.send_signal(number)
        parent.send_signal(signal.SIGCONT)
        parent.wait(20)

    assert not attacked_alive(tmp_path)
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_running_loop_ends_without_a_task_being_blamed(number: signal.Signals, tmp_path: Path) -> None:
    """What a task cleans up is cleaned up, and nothing is told about exceptions that nobody retrieved."""
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
    with attacked(before, tmp_path, "asyncio.run(work())") as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert parent.stdout.readline() == "looping\n"
        parent.send_signal(number)
        out, _ = parent.communicate(timeout=20)

    err = (tmp_path / "err").read_text()
    assert "cleaned up" in out
    assert "never retrieved" not in err
    assert err.count("Traceback") == (1 if number == signal.SIGINT else 0), err  # that of KeyboardInterrupt itself
    assert not attacked_alive(tmp_path)


def test_a_loop_that_doesnt_come_to_it_ends_at_the_second_signal(tmp_path: Path) -> None:
    before = """
        import asyncio
        module._BURST = 0.05
        async def work():
            print("looping", flush=True)
            time.sleep(600)
    """
    with attacked(before, tmp_path, "asyncio.run(work())") as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert parent.stdout.readline() == "looping\n"
        parent.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.3)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(20) == 128 + signal.SIGTERM
    assert not attacked_alive(tmp_path)


def test_impatience_while_it_ends_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C again and again, for longer than signals count as one."""
    with attacked("module._GRACE = 1.5", tmp_path) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        while parent.poll() is None:
            parent.send_signal(signal.SIGINT)
            time.sleep(0.02)

    assert not attacked_alive(tmp_path)
    assert list((tmp_path / "logs").iterdir()) == []


def test_a_process_that_outlives_its_terminal_stays(tmp_path: Path) -> None:
    with attacked("signal.signal(signal.SIGHUP, signal.SIG_IGN)", tmp_path) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.3)
        assert alive(child)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(20) == 128 + signal.SIGTERM
    assert not attacked_alive(tmp_path)


def test_no_place_for_logs_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/proc/nowhere"])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StackError, match=r"TMPDIR: no folder for logs can be made: No usable temp"), Supervisor():
        pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_free_ports_are_different_ones() -> None:
    assert len(set(free_ports(200))) == 200


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
def test_grpc_knows_before_it_is_imported_that_processes_are_started(module: str) -> None:
    code = f"""
        import {module}
        import grpc, subprocess
        with grpc.insecure_channel("127.0.0.1:9") as channel:
            grpc.channel_ready_future(channel)  # has threads, of which gRPC would complain at a fork
            for _ in range(3):
                subprocess.run(["true"], preexec_fn=lambda: None)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert told.stderr == ""
