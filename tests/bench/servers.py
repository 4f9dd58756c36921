"""The servers of the benchmark: functions under functions-framework and Google's emulators, on free ports."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from infra.local import google_emulators
from infra.local.ports import accepts, answers
from infra.local.supervisor import Child, Supervisor
from infra.provision.bigtable import provision_bigtable
from shared.config import Settings
from tests.bench.results import MeasurementError
from tests.support.processes import end_child, free_port

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).with_name("peers")
_FRAMEWORK = Path(sys.executable).with_name("functions-framework")


class Servers:
    """Starts the servers of a measurement; each measurement has its own, so none reads the data of another."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def folder(self) -> Path:
        """A temporary folder."""
        return self._supervisor.folder

    @contextmanager
    def bigtable(self, *, tables: bool = True) -> Iterator[Settings]:
        """Run a Bigtable emulator, by default with the tables of the project."""
        port = free_port()
        child = google_emulators.start_bigtable(self._supervisor, port)
        try:
            self._supervisor.wait_until(partial(accepts, port), "the Bigtable emulator doesn't answer")
            settings = Settings("bench", "bench", bigtable_emulator=f"127.0.0.1:{port}")
            if tables:
                provision_bigtable(settings)
            yield settings
        finally:
            end_child(self._supervisor, child)

    @contextmanager
    def python_server(self, module: str, *options: str | Path) -> Iterator[str]:
        """Run a module that serves gRPC on `--port`; yield its address."""
        port = free_port()
        command = [sys.executable, "-m", module, "--port", str(port), *options]
        name = f"{module.rpartition('.')[2]}-{port}"
        child = self._supervisor.start(name, command, env=dict(os.environ), cwd=ROOT)
        try:
            self._supervisor.wait_until(partial(accepts, port), f"{name} doesn't answer")
            yield f"127.0.0.1:{port}"
        finally:
            end_child(self._supervisor, child)

    @contextmanager
    def pubsub(self) -> Iterator[str]:
        """Run a Pub/Sub emulator and yield its address."""
        port = free_port()
        child = google_emulators.start_pubsub(self._supervisor, port)
        try:
            self._supervisor.wait_until(partial(accepts, port), "the Pub/Sub emulator doesn't answer")
            yield f"127.0.0.1:{port}"
        finally:
            end_child(self._supervisor, child)

    @contextmanager
    def function(self, target: str, source: Path, settings: Settings | None = None) -> Iterator[Function]:
        """Run a function under functions-framework; the block begins when it responds."""
        function = self.start_function(target, source, settings)
        try:
            self._supervisor.wait_until(function.responds, f"function {target} doesn't answer")
            yield function
        finally:
            end_child(self._supervisor, function.child)

    def start_function(self, target: str, source: Path, settings: Settings | None = None) -> Function:
        """Start a function without waiting until it responds."""
        port = free_port()
        command = [_FRAMEWORK, "--target", target, "--source", source, "--host", "127.0.0.1", "--port", str(port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment_of(settings) if settings else {})}
        name = f"{target}-{uuid.uuid4().hex[:6]}"
        return Function(self._supervisor.start(name, command, env=environment, cwd=ROOT, wave=1), port)

    def run(self, command: list[str | Path], environment: Mapping[str, str], name: str) -> float:
        """Run a program to its end and return the seconds that it took."""
        started = time.monotonic()
        child = self._supervisor.start(name, command, env={**os.environ, **environment}, cwd=ROOT)
        code = child.process.wait()
        took = time.monotonic() - started
        self._supervisor.children.remove(child)
        if code:
            raise MeasurementError(f"{name} ended with exit code {code}; its log ends with:\n{child.log_tail()}")
        return took

    def forget(self, function: Function) -> None:
        """End a function."""
        end_child(self._supervisor, function.child)


class Function:
    """A running function."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self.port = port
        self.url = f"http://127.0.0.1:{port}/"

    def responds(self) -> bool:
        """Return whether it responds to HTTP with any status."""
        return answers(self.port)

    def memory_mib(self) -> float:
        """Return the proportional set size of all its processes in MiB, so shared pages count once."""
        return sum(self._of_each_process(_pss_kib)) / 1024

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes since their start."""
        return sum(self._of_each_process(_cpu_ticks)) / os.sysconf("SC_CLK_TCK")

    def _of_each_process(self, value: Callable[[Path], int]) -> Iterator[int]:
        for process in Path("/proc").iterdir():
            try:
                if process.name.isdigit() and os.getpgid(int(process.name)) == self.child.process.pid:
                    yield value(process)
            except (OSError, StopIteration):
                continue  # the process has ended


def _pss_kib(process: Path) -> int:
    lines = (process / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _cpu_ticks(process: Path) -> int:
    # The fields utime and stime, counted after the name, which may contain spaces: proc_pid_stat(5).
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment variables of settings."""
    values = {
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": settings.bigtable_emulator,
        "PUBSUB_EMULATOR_HOST": settings.pubsub_emulator,
    }
    return {name: value for name, value in values.items() if value}


INGEST = ROOT / "functions" / "ingest" / "main.py"
AGGREGATE = ROOT / "functions" / "aggregate" / "main.py"
BY_HAND = PEERS / "by_hand" / "main.py"
NOOP = PEERS / "noop" / "main.py"
