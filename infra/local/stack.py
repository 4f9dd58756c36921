"""The whole pipeline on one machine: emulators, the functions, and the delivery between them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from infra.local import embedded_resources, emulators
from infra.local.description import describe
from infra.local.emulators import PORTS, Engine
from infra.local.ports import answers, are_free, free_ports, require_free
from infra.local.relay.options import relay_options
from infra.local.stack_file import StackFile
from infra.local.stats import StackCounts
from infra.local.storage import emulator as storage
from infra.local.supervisor import Supervisor
from infra.provision.resources import ALL_FUNCTIONS, FUNCTIONS, LOAD, LOCAL, LOCAL_WITH_LOADS, PUSHED, Resources
from shared.config import DEFAULT_CONTRACT, Settings
from shared.errors import SluiceError, StackError
from shared.names import DEFAULT_NAME

ConsoleMode = Literal["read-only", "changes allowed"]

ROOT = Path(__file__).resolve().parents[2]
PROJECT, INSTANCE, REGION = "sluice-local", "local", "us-central1"
# `aggregate` gets one day at a time and `load` one range, like an instance of the deployed function: several at once
# would share the memory of this machine.
_PUSH_LIMITS = {"aggregate-run": 1, "loads-run": 1}

_ATTEMPTS = 3
_DELIVERIES = "deliveries.json"
_WATCH_EVERY = 0.5  # seconds
# Seconds between the summaries of `ingest`, unless the environment has another number: the console shows live rates.
_SUMMARY_INTERVAL = "1"
# Seconds after which the load of a range stops, below the ack deadline of a local stack.
_LOAD_DEADLINE = "40"


class Stack:
    """The local stack: all of it runs inside the `with` block, nothing after it.

    Attributes:
        environment: the variables by which other programs find the stack.
        ports: the port of each part.
    """

    def __init__(
        self,
        *,
        contract: Path = DEFAULT_CONTRACT,
        ports: Mapping[str, int] | None = None,
        functions: Sequence[str] = PUSHED,
        engine: Engine = "embedded",
        data: Path | None = None,
        console: ConsoleMode | None = None,
        intraday_minutes: int = 0,
        bucket: str = "",
    ) -> None:
        """Prepare a stack.

        Args:
            contract: contract file of the functions.
            ports: required ports by part; other parts get free ones.
            functions: those to start; none starts only the emulators. The start waits for those that are pushed to.
            engine: the embedded emulators, or Google's, whose programs must be installed.
            data: the folder in which the embedded emulators keep their data; None keeps it in memory.
            console: whether to serve the console, and whether it may change something.
            intraday_minutes: the interval of the intraday schedule; 0 for none.
            bucket: the bucket whose objects the function `load` loads; "" starts neither.
        """
        self._engine = engine
        self._data = data
        self._intraday_minutes = intraday_minutes
        self._required_ports = dict(ports or {})
        self._bucket = bucket
        self._functions = (*functions, *((LOAD,) if bucket else ()))
        self._pushed = [name for name in self._functions if name in (*PUSHED, LOAD)]
        self._console = ("console",) if console else ()
        self._console_options = ("--allow-changes",) if console == "changes allowed" else ()
        self._supervisor = Supervisor()
        self.ports: dict[str, int] = {}
        self.environment: dict[str, str] = {
            "GCP_PROJECT_ID": PROJECT,
            "BIGTABLE_INSTANCE": INSTANCE,
            "SLUICE_NAME": DEFAULT_NAME,  # overrides another name in the environment
            "SLUICE_CONTRACT": str(contract.resolve()),
            "GCP_REGION": REGION,
        }

    def __enter__(self) -> Self:
        for part, port in self._required_ports.items():
            require_free(part, port)
        if len(set(self._required_ports.values())) < len(self._required_ports):
            raise StackError(f"ports: found {self._required_ports}, expected a different one for each part")
        emulators.check_installed(self._engine)
        if self._bucket:
            storage.check_installed()
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

    def url(self, part: str) -> str:
        """Return the address of a function, or of the console."""
        return f"http://127.0.0.1:{self.ports[part]}/"

    def check(self) -> None:
        """Raise StackError if a part has ended by itself."""
        self._supervisor.check()

    def make_schedule(self) -> None:
        """Wait for the scheduler and create the jobs in it; embedded emulators have them since the start.

        Separate from the start of the stack: a short run needs the scheduler last, and needn't wait for its imports.
        """
        if self._engine == "embedded":
            return
        emulators.wait_until_ready(self._supervisor, self._engine, self.ports, "scheduler")
        from infra.provision.scheduler import provision_schedule

        provision_schedule(self.settings, self._resources)

    def run_job(self) -> str:
        """Run the daily job now; returns its name."""
        self.make_schedule()
        [job] = LOCAL.jobs
        if self._engine == "embedded":
            embedded_resources.run_job(self.settings, job.name)
            return job.name
        from infra.provision.scheduler_client import run_job

        run_job(self.settings, job.name)
        return job.name

    def wait(self, show: Callable[[StackCounts], None]) -> None:
        """Wait until a signal ends the process; StackError if a part ends. Call `show` with the counts repeatedly."""
        reader = self._stack_file.reader()
        while True:
            self.check()
            show(reader.read())
            time.sleep(_WATCH_EVERY)

    def deliveries(self, subscription: str) -> dict[str, int]:
        """Return the counts of a subscription's messages: delivered, acknowledged, failed."""
        try:
            text = (self._supervisor.folder / _DELIVERIES).read_bytes()
        except FileNotFoundError:
            return {}
        counts: dict[str, dict[str, int]] = msgspec.json.decode(text)
        return counts.get(f"projects/{PROJECT}/subscriptions/{subscription}", {})

    def describe(self) -> str:
        """Return the address and log of each part, and lines to paste into a shell."""
        titles = {
            **{name: f"function {name}" for name in self._functions},
            storage.PORT: f"Cloud Storage, bucket {self._bucket}",
        }
        servers = (*self._functions, *self._console)
        return describe(self._supervisor.children, titles, self.ports, servers, self.environment)

    def _start_on_free_ports(self) -> None:
        """Start all parts; try again if another program takes one of the chosen ports before the part binds it."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            self._choose_ports()
            try:
                self._start()
                return
            except SluiceError:
                self._supervisor.stop()
                chosen = {part: port for part, port in self.ports.items() if part not in self._required_ports}
                if not attempts_left or are_free(chosen):
                    raise

    def _choose_ports(self) -> None:
        storage_ports = (LOAD, storage.PORT) if self._bucket else ()
        required, parts = self._required_ports, (*PORTS[self._engine], *FUNCTIONS, *storage_ports, *self._console)
        free = [port for port in free_ports(2 * len(parts)) if port not in required.values()]
        self.ports = {part: required.get(part, port) for part, port in zip(parts, free, strict=False)}
        self.environment |= emulators.variables(self._engine, self.ports)
        if self._bucket:
            self.environment[storage.VARIABLE] = f"http://127.0.0.1:{self.ports[storage.PORT]}"

    def _start(self) -> None:
        self._start_emulators()
        if self._bucket:
            storage.start(self._supervisor, self.ports[storage.PORT], self._bucket, self._data)
        for function in self._pushed:
            self._start_function(function)
        if self._data:
            self._wait_for_functions()  # kept messages are pushed at once
        self._provision()
        if self._pushed and self._engine == "google":
            self._start_relay()
        self._wait_for_functions()
        for function in self._functions:
            if function not in self._pushed:  # later, so that its imports don't delay the others
                self._start_function(function)
        if self._engine == "google":
            self._start_python("scheduler", "infra.emulators.scheduler", f"--port={self.ports['scheduler']}", wave=1)
        for part in self._console:  # answers a second later; its imports don't delay the functions
            self._start_python(part, "infra.console", f"--port={self.ports[part]}", *self._console_options, wave=1)
        if self._bucket:
            storage.start_watcher(self._supervisor, self.ports[storage.PORT], self._bucket, self.environment)
        self._supervisor.check()
        self._stack_file.write(self._supervisor.folder)

    def _wait_for_functions(self) -> None:
        for function in self._pushed:
            # Not `accepts`: gunicorn listens before it has a worker that could answer.
            ready = partial(answers, self.ports[function])
            self._supervisor.wait_until(ready, f"function {function} doesn't answer")

    def _start_emulators(self) -> None:
        if self._engine == "google":
            emulators.start_google(self._supervisor, self.ports)
            return
        limits = {f"projects/{PROJECT}/subscriptions/{name}": limit for name, limit in _PUSH_LIMITS.items()}
        stats = self._supervisor.folder / _DELIVERIES
        emulators.start_embedded(
            self._supervisor, self.ports["emulators"], data=self._data, push_limits=limits, stats=stats
        )

    def _provision(self) -> None:
        """Create tables, topics and subscriptions; compare them with what a data folder has."""
        settings = self.settings
        if self._engine == "embedded" and not self._data:
            embedded_resources.create_resources(settings, self._resources)
            return
        # These imports take seconds, during which the servers start.
        from infra.provision.bigtable import provision_bigtable
        from infra.provision.provisioner import Provisioning
        from infra.provision.pubsub import provision_pubsub

        emulators.wait_until_ready(self._supervisor, self._engine, self.ports, "bigtable")
        if self._data:
            with Provisioning(settings, self._resources) as provisioning:
                list(provisioning.apply())
            return
        provision_bigtable(settings)
        emulators.wait_until_ready(self._supervisor, self._engine, self.ports, "pubsub")
        provision_pubsub(settings, self._resources)

    @property
    def _push_urls(self) -> dict[str, str]:
        """The addresses that Pub/Sub pushes to; none with Google's emulator, whose messages the relay pulls."""
        return {name: self.url(name) for name in self._pushed} if self._engine == "embedded" else {}

    @property
    def _resources(self) -> Resources:
        return self._declared.with_push(self._push_urls).with_intraday(self._intraday_minutes)

    @property
    def _declared(self) -> Resources:
        return LOCAL_WITH_LOADS if self._bucket else LOCAL

    @property
    def _stack_file(self) -> StackFile:
        logs = {child.name: child.log for child in self._supervisor.children if child.name in ALL_FUNCTIONS}
        stats = self._supervisor.folder / _DELIVERIES
        return StackFile(self.environment, logs, stats, self._push_urls, self._intraday_minutes, self._bucket)

    def _start_function(self, function: str) -> None:
        framework = Path(sys.executable).with_name("functions-framework")
        source = ROOT / "functions" / function / "main.py"
        command: list[str | Path] = [framework, "--target", function, "--source", source, "--host", "127.0.0.1"]
        command += ["--port", str(self.ports[function])]
        defaults = {"SLUICE_SUMMARY_INTERVAL": _SUMMARY_INTERVAL, "SLUICE_LOAD_DEADLINE": _LOAD_DEADLINE}
        environment = {**defaults, **os.environ, **self.environment, "PYTHONPATH": str(ROOT)}
        self._supervisor.start(function, command, env=environment, cwd=ROOT, wave=1)

    def _start_relay(self) -> None:
        urls = {name: self.url(name) for name in self._pushed}
        counts = self._supervisor.folder / _DELIVERIES
        options = relay_options(self._declared.subscriptions, urls, _PUSH_LIMITS, project=PROJECT, stats=counts)
        self._start_python("relay", "infra.local.relay", *options, wave=2)

    def _start_python(self, name: str, module: str, *options: str, wave: int) -> None:
        environment = {**os.environ, **self.environment}
        self._supervisor.start(name, [sys.executable, "-m", module, *options], env=environment, cwd=ROOT, wave=wave)
