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

from infra.processes import Child, Supervisor, accepts, claim_port, free_port
from shared.errors import StackError

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
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
    monkeypatch.setattr("infra.processes._GRACE", 0.2)
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
        from infra.processes import Supervisor
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
        cwd=Path(__file__).parents[3],
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
