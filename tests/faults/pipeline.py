"""Both functions and the delivery between them as processes that a test can kill at any time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from infra.local.ports import answers
from infra.local.stack_file import StackFile
from infra.local.supervisor import Child, Supervisor
from infra.provision.bigtable import provision_bigtable
from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.config import Settings
from tests.support.emulators import engine
from tests.support.processes import free_port
from tests.support.samples import ROOT

# The relay of Google's emulator, emulators of the pipeline's own, or the embedded ones of the test session.
Delivery = Literal["relay", "emulators", "shared"]
FUNCTIONS = {"ingest": "events-ingest", "aggregate": "aggregate-run"}
# Seconds until the messages of a killed client are redelivered; 10 is the least that Pub/Sub accepts.
_LEASE = 10
_FRAMEWORK = Path(sys.executable).parent / "functions-framework"


class Pipeline:
    """Runs the processes inside its `with` block. Enter the block in the main thread.

    Messages are delivered by a part `delivery`: the relay if Pub/Sub is Google's emulator, the embedded emulators if
    the pipeline has its own. Shared embedded emulators deliver without a part.

    Attributes:
        peak: the highest memory of an instance of `ingest` among the samples, in MiB.
    """

    def __init__(
        self,
        settings: Settings,
        bigtable: str,
        *,
        delivery: Delivery | None = None,
        attempts: int = 100,
        **variables: str,
    ) -> None:
        """Prepare the processes.

        Args:
            settings: of an empty project and an empty instance.
            bigtable: address by which the functions reach Bigtable.
            delivery: how messages get to the functions; as the emulators of the test session do by default.
            attempts: deliveries of a message before it is dead-lettered.
            variables: more environment for the functions.
        """
        self.settings = settings
        self.peak = 0
        self._supervisor = Supervisor()
        self._delivery = delivery or ("relay" if engine() == "google" else "shared")
        self._attempts = attempts
        self._ports = {name: free_port() for name in FUNCTIONS}
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GCP_PROJECT_ID": settings.project_id,
            "BIGTABLE_INSTANCE": settings.instance_id,
            "BIGTABLE_EMULATOR_HOST": bigtable,
            "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator),
            **variables,
        }
        self._ended: Counter[str] = Counter()  # counts of deliveries that have ended
        self._starts = 0

    def __enter__(self) -> Pipeline:
        self._supervisor.__enter__()
        try:
            if self._delivery == "emulators":
                self.start("delivery")
                self.wait_for("delivery")
            self._provision()
            for name in FUNCTIONS:
                self.start(name)
            if self._delivery == "relay":
                self.start("delivery")
            for name in FUNCTIONS:
                self.wait_for(name)
        except BaseException:
            self._supervisor.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._supervisor.__exit__(*error)  # type: ignore[arg-type]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}/"

    def start(self, name: str) -> None:
        """Start a part, without waiting until it answers."""
        if name == "delivery":
            self._starts += 1
            command = self._delivery_command()
        else:
            source = ROOT / "functions" / name / "main.py"
            command = [str(_FRAMEWORK), "--target", name, "--source", str(source), "--host", "127.0.0.1"]
            command += ["--port", str(self._ports[name])]
        self._supervisor.start(name, command, env=self._environment, cwd=ROOT)

    def wait_for(self, name: str) -> None:
        """Wait until a part answers."""
        ready = self._stats.exists if name == "delivery" else partial(answers, self._ports[name])
        self._supervisor.wait_until(ready, f"{name} doesn't answer")

    def kill(self, name: str) -> None:
        """End a part with SIGKILL, and start it again."""
        child = self._child(name)
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        self._forget(child)
        self.start(name)

    def terminate(self, name: str) -> float:
        """End a part with SIGTERM, as Cloud Run does, and start it again; return the seconds that its end took."""
        child = self._child(name)
        began = time.monotonic()
        child.process.send_signal(signal.SIGTERM)
        try:
            child.process.wait(10)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} didn't end within 10 s") from None
        took = time.monotonic() - began
        self._forget(child)
        self.start(name)
        return took

    def stop(self, name: str) -> None:
        """End a part with SIGTERM."""
        child = self._child(name)
        child.process.send_signal(signal.SIGTERM)
        child.process.wait(15)
        self._forget(child)

    def deliveries(self, subscription: str = "events-ingest") -> Counter[str]:
        """Return the counts of all deliveries, without what a killed process hadn't written to its file."""
        total = self._ended if subscription == "events-ingest" else Counter[str]()
        return total + self._counted(subscription)

    def log(self, name: str) -> str:
        return (self._supervisor.folder / f"{name}.log").read_text("utf-8", "replace")

    def sample(self, name: str = "ingest") -> int:
        """Return the memory of a function's instance in MiB; a page shared by its processes counts once."""
        group = self._child(name).process.pid
        total = 0
        for process in Path("/proc").iterdir():
            try:
                if process.name.isdigit() and os.getpgid(int(process.name)) == group:
                    lines = (process / "smaps_rollup").read_text().splitlines()
                    total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            except (OSError, StopIteration):
                continue  # the process has ended meanwhile
        self.peak = max(self.peak, total // 1024)
        return total // 1024

    @contextmanager
    def sampling(self, name: str = "ingest") -> Iterator[None]:
        """Sample the memory of a function's instance 20 times a second inside the block."""
        done = threading.Event()

        def take_samples() -> None:
            while not done.wait(0.05):
                self.sample(name)

        sampler = threading.Thread(target=take_samples, daemon=True)
        sampler.start()
        try:
            yield
        finally:
            done.set()
            sampler.join()

    def _delivery_command(self) -> list[str]:
        if self._delivery == "emulators":
            port = str(self.settings.pubsub_emulator).rpartition(":")[2]
            data = self._supervisor.folder / "data"
            return [
                sys.executable,
                "-m",
                "infra.emulators",
                f"--port={port}",
                f"--data={data}",
                f"--stats={self._stats}",
            ]
        routes = [f"--route={route}={self.url(function)}" for function, route in FUNCTIONS.items()]
        command = [sys.executable, "-m", "infra.local.relay", "--project", self.settings.project_id, *routes]
        return [*command, "--lease", str(_LEASE), "--stats", str(self._stats)]

    def _provision(self) -> None:
        backoff = timedelta(milliseconds=100), timedelta(seconds=2)
        resources = RESOURCES.with_fast_redelivery(
            backoff=backoff, ack_deadline=timedelta(seconds=_LEASE), attempts=self._attempts
        )
        if self._delivery != "relay":
            resources = resources.with_push({function: self.url(function) for function in FUNCTIONS})
        provision_bigtable(self.settings, resources.with_retention({"rejected": None}))  # events are of 2024
        provision_pubsub(self.settings, resources)

    @property
    def _stats(self) -> Path:
        if self._delivery == "shared":
            stack = StackFile.find(str(self.settings.bigtable_emulator))
            assert stack is not None
            return stack.stats
        return self._supervisor.folder / f"deliveries-{self._starts}.json"

    def _counted(self, subscription: str) -> Counter[str]:
        counts: Mapping[str, Mapping[str, int]] = json.loads(self._stats.read_text()) if self._stats.exists() else {}
        return Counter(counts.get(f"projects/{self.settings.project_id}/subscriptions/{subscription}", {}))

    def _forget(self, child: Child) -> None:
        if child.name == "delivery":
            self._ended += self._counted("events-ingest")
            self._stats.unlink(missing_ok=True)
        self._supervisor.children.remove(child)

    def _child(self, name: str) -> Child:
        return next(child for child in self._supervisor.children if child.name == name)
