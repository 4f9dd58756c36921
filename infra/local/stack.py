"""The whole pipeline on one machine: both emulators, the scheduler, both functions, and the relay between them."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from infra.local import emulators
from infra.local.ports import accepts, claim_port, free_ports
from infra.local.stack_file import StackFile
from infra.local.stats import Follower, LiveStats
from infra.local.supervisor import Supervisor
from infra.provision.resources import LOCAL
from shared.config import DEFAULT_CONTRACT, Settings
from shared.errors import SluiceError, StackError

ROOT = Path(__file__).resolve().parents[2]
PROJECT, INSTANCE, REGION = "sluice-local", "local", "us-central1"
# A day at a time, as on an instance of the deployed function: several at once would share this machine's memory.
FUNCTIONS = {"ingest": "events-ingest:events", "aggregate": "aggregate-run:aggregate-requests:1"}
_PARTS = ("bigtable", "pubsub", "scheduler", *FUNCTIONS)

_ATTEMPTS = 3
_STATS = "relay.json"
_WATCH = 0.5


class Stack:
    """The local stack; everything runs inside its `with` block and nothing after it.

    Attributes:
        environment: the variables by which other programs find it.
        ports: of each part.
    """

    def __init__(
        self,
        *,
        contract: Path = DEFAULT_CONTRACT,
        ports: Mapping[str, int] | None = None,
        root: Path = ROOT,
        functions: bool = True,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a stack.

        Args:
            contract: for both functions.
            ports: that parts have to have; the others get free ones.
            root: where `functions/` is.
            functions: False starts the emulators and the scheduler alone.
            extra: more variables for the functions.
        """
        self._asked = dict(ports or {})
        self._root = root
        self._functions = functions
        self._extra = dict(extra or {})
        self._supervisor = Supervisor()
        self._stats: Path | None = None
        self.ports: dict[str, int] = {}
        self.environment: dict[str, str] = {
            "GCP_PROJECT_ID": PROJECT,
            "BIGTABLE_INSTANCE": INSTANCE,
            "SLUICE_CONTRACT": str(contract.resolve()),
            "GCP_REGION": REGION,
        }

    def __enter__(self) -> Self:
        for part, port in self._asked.items():
            claim_port(part, port)
        if len(set(self._asked.values())) < len(self._asked):
            raise StackError(f"ports: found {self._asked}, expected a different one for each part")
        # Found before anything is started: a missing part is told at once.
        emulators.find_bigtable(), emulators.find_java(), emulators.find_pubsub()
        try:
            self._supervisor.__enter__()
            self._start_on_free_ports()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.__exit__(kind, error, trace)

    @property
    def settings(self) -> Settings:
        """The settings by which this process finds the stack."""
        return Settings.from_environment(self.environment)

    def url(self, function: str) -> str:
        """Return the address of a function."""
        return f"http://127.0.0.1:{self.ports[function]}/"

    def check(self) -> None:
        """Raise StackError if a part has ended by itself."""
        self._supervisor.check()

    def make_schedule(self) -> None:
        """Wait for the scheduler and make the daily job in it.

        Apart from the rest, since the scheduler is needed last: a short run needn't wait for its imports.
        """
        self._supervisor.wait_until(partial(accepts, self.ports["scheduler"]), "the scheduler doesn't answer")
        from infra.provision.scheduler import provision_schedule

        provision_schedule(self.settings)

    def wait(self, show: Callable[[LiveStats], None]) -> None:
        """Wait for the end: by a signal, or with StackError because a part has ended.

        Args:
            show: is given the figures again and again.
        """
        file = self._file
        follower = Follower(file.logs, file.stats)
        while True:
            self.check()
            show(follower.look())
            time.sleep(_WATCH)

    def relayed(self, subscription: str) -> dict[str, int]:
        """Return what the relay counts of a subscription: delivered, acknowledged, failed, handed back."""
        if self._stats is None:
            return {}
        try:
            counts: dict[str, dict[str, int]] = msgspec.json.decode(self._stats.read_bytes())
        except FileNotFoundError:
            return {}
        return counts.get(subscription, {})

    def describe(self) -> str:
        """Return how to reach each part, with lines to paste into a shell."""
        logs = {child.name: child.log for child in self._supervisor.children}
        rows = [
            ("Bigtable emulator", f"127.0.0.1:{self.ports['bigtable']}", "bigtable-emulator"),
            ("Pub/Sub emulator", f"127.0.0.1:{self.ports['pubsub']}", "pubsub-emulator"),
            ("Cloud Scheduler", f"127.0.0.1:{self.ports['scheduler']}", "scheduler"),
            *((f"function {name}", self.url(name), name) for name in FUNCTIONS if self._functions),
            *([("relay", "Pub/Sub → functions", "relay")] if self._functions else []),
        ]
        lines = [f"{what:<20} {where:<26} {logs[name]}" for what, where, name in rows]
        exports = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return "\n".join([*lines, "", *exports])

    def _start_on_free_ports(self) -> None:
        """Start on other ports if somebody takes one between our choice and our use of it."""
        for left in reversed(range(_ATTEMPTS)):
            self._choose_ports()
            try:
                self._start()
                return
            except SluiceError:
                self._supervisor.stop()
                if not left or not self._lost_a_port():
                    raise

    def _choose_ports(self) -> None:
        free = [port for port in free_ports(2 * len(_PARTS)) if port not in self._asked.values()]
        self.ports = {part: self._asked.get(part, port) for part, port in zip(_PARTS, free, strict=False)}
        self.environment["BIGTABLE_EMULATOR_HOST"] = f"127.0.0.1:{self.ports['bigtable']}"
        self.environment["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{self.ports['pubsub']}"
        self.environment["CLOUD_SCHEDULER_EMULATOR_HOST"] = f"127.0.0.1:{self.ports['scheduler']}"

    def _lost_a_port(self) -> bool:
        try:
            for part, port in self.ports.items():
                if part not in self._asked:
                    claim_port(part, port)
        except StackError:
            return True
        return False

    def _start(self) -> None:
        supervisor = self._supervisor
        emulators.start_bigtable(supervisor, self.ports["bigtable"])
        emulators.start_pubsub(supervisor, self.ports["pubsub"])
        if self._functions:
            for function in FUNCTIONS:
                self._start_function(function)
        # Seconds of imports, which go on while the servers start.
        from infra.provision.bigtable import provision_bigtable
        from infra.provision.pubsub import provision_pubsub

        settings = self.settings
        supervisor.wait_until(partial(accepts, self.ports["bigtable"]), "the Bigtable emulator doesn't answer")
        provision_bigtable(settings)
        supervisor.wait_until(partial(accepts, self.ports["pubsub"]), "the Pub/Sub emulator doesn't answer")
        provision_pubsub(settings, LOCAL)
        if self._functions:
            self._start_relay()
            for function in FUNCTIONS:
                # Not `accepts`: gunicorn listens before it has a worker that could answer.
                supervisor.wait_until(partial(_answers, self.ports[function]), f"function {function} doesn't answer")
        self._start_scheduler()
        supervisor.check()
        self._file.write(supervisor.folder)

    @property
    def _file(self) -> StackFile:
        logs = {child.name: child.log for child in self._supervisor.children if child.name in FUNCTIONS}
        return StackFile(self.environment, logs, self._supervisor.folder / _STATS)

    def _start_function(self, function: str) -> None:
        framework = Path(sys.executable).with_name("functions-framework")
        source = self._root / "functions" / function / "main.py"
        port = str(self.ports[function])
        command: list[str | Path] = [
            framework,
            "--target",
            function,
            "--source",
            source,
            "--host",
            "127.0.0.1",
            "--port",
            port,
        ]
        environment = {**os.environ, **self.environment, "PYTHONPATH": str(self._root), **self._extra}
        self._supervisor.start(function, command, env=environment, cwd=self._root, wave=1)

    def _start_scheduler(self) -> None:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "infra.emulators.scheduler",
            f"--port={self.ports['scheduler']}",
        ]
        environment = {**os.environ, **self.environment}
        self._supervisor.start("scheduler", command, env=environment, cwd=ROOT, wave=1)

    def _start_relay(self) -> None:
        routes = [f"--route={route}={self.url(function)}" for function, route in FUNCTIONS.items()]
        command: list[str | Path] = [sys.executable, "-m", "infra.local.relay", "--project", PROJECT, *routes]
        command.append(f"--lease={LOCAL.subscriptions[0].ack_deadline.total_seconds():.0f}")
        self._stats = self._supervisor.folder / _STATS
        environment = {**os.environ, **self.environment}
        self._supervisor.start("relay", [*command, "--stats", self._stats], env=environment, cwd=ROOT, wave=2)


def _answers(port: int) -> bool:
    """Return whether a server answers HTTP, whatever it says: a function has nothing to say to a GET."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True
