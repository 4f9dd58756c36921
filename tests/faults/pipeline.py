"""Both functions and the relay as processes that a test can kill at any time."""

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
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from infra.local.supervisor import Child, Supervisor
from infra.provision.bigtable import provision_bigtable
from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.config import Settings
from tests.support.processes import free_port
from tests.support.samples import ROOT

ROUTES = {"ingest": "events-ingest", "aggregate": "aggregate-run"}
# Seconds until the messages of a killed relay are redelivered; 10 is the least that Pub/Sub accepts.
_LEASE = 10
_FRAMEWORK = Path(sys.executable).parent / "functions-framework"


class Pipeline:
    """Runs the processes inside its `with` block. Enter the block in the main thread.

    Attributes:
        peak: the highest memory of an instance of `ingest` among the samples, in MiB.
    """

    def __init__(self, settings: Settings, bigtable: str, *, attempts: int = 100, **variables: str) -> None:
        """Create tables, topics and subscriptions.

        Args:
            settings: of an empty project and an empty instance.
            bigtable: address by which the functions reach Bigtable.
            attempts: deliveries of a message before it is dead-lettered.
            variables: more environment for the functions.
        """
        self.settings = settings
        self.peak = 0
        self._supervisor = Supervisor()
        self._ports = {name: free_port() for name in ROUTES}
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GCP_PROJECT_ID": settings.project_id,
            "BIGTABLE_INSTANCE": settings.instance_id,
            "BIGTABLE_EMULATOR_HOST": bigtable,
            "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator),
            **variables,
        }
        self._relayed: Counter[str] = Counter()  # counts of relays that have ended
        self._relays = 0
        provision_bigtable(settings)
        backoff = timedelta(milliseconds=100), timedelta(seconds=2)
        resources = RESOURCES.with_fast_redelivery(
            backoff=backoff, ack_deadline=timedelta(seconds=_LEASE), attempts=attempts
        )
        provision_pubsub(settings, resources)

    def __enter__(self) -> Pipeline:
        self._supervisor.__enter__()
        try:
            for name in (*ROUTES, "relay"):
                self.start(name)
            for name in ROUTES:
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
        if name == "relay":
            self._relays += 1
            routes = [f"--route={route}={self.url(function)}" for function, route in ROUTES.items()]
            command = [sys.executable, "-m", "infra.local.relay", "--project", self.settings.project_id, *routes]
            command += ["--lease", str(_LEASE), "--stats", str(self._stats)]
        else:
            source = ROOT / "functions" / name / "main.py"
            command = [str(_FRAMEWORK), "--target", name, "--source", str(source), "--host", "127.0.0.1"]
            command += ["--port", str(self._ports[name])]
        self._supervisor.start(name, command, env=self._environment, cwd=ROOT)

    def wait_for(self, name: str) -> None:
        """Wait until a part answers."""
        ready = self._stats.exists if name == "relay" else partial(self._answers, name)
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

    def relayed(self, subscription: str = "events-ingest") -> Counter[str]:
        """Return the counts of all relays, without what a killed one hadn't written to its file."""
        total = self._relayed if subscription == "events-ingest" else Counter[str]()
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

    @property
    def _stats(self) -> Path:
        return self._supervisor.folder / f"relay-{self._relays}.json"

    def _counted(self, subscription: str) -> Counter[str]:
        counts: Mapping[str, Mapping[str, int]] = json.loads(self._stats.read_text()) if self._stats.exists() else {}
        return Counter(counts.get(subscription, {}))

    def _forget(self, child: Child) -> None:
        if child.name == "relay":
            self._relayed += self._counted("events-ingest")
            self._stats.unlink(missing_ok=True)
        self._supervisor.children.remove(child)

    def _child(self, name: str) -> Child:
        return next(child for child in self._supervisor.children if child.name == name)

    def _answers(self, name: str) -> bool:
        connection = HTTPConnection("127.0.0.1", self._ports[name], timeout=1.0)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
        return True
