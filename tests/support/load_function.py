"""The function `load` as a process that a test can kill at any time, and the delivery to it."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Self

from google.pubsub_v1.types import PubsubMessage

from infra.local.ports import answers
from infra.local.supervisor import Child, Supervisor
from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.config import Settings
from shared.pubsub.load_requests import TOPIC, ObjectVersion, notification
from shared.pubsub.publisher import Publisher
from tests.support.processes import end_child, eventually, free_port
from tests.support.samples import ROOT

_FRAMEWORK = Path(sys.executable).parent / "functions-framework"


class LoadFunction:
    """Runs the function inside its `with` block, with the declared subscription, which redelivers after a second."""

    def __init__(self, settings: Settings, storage: str, **variables: str) -> None:
        """Prepare the function.

        Args:
            settings: of an empty project, and of an instance with tables.
            storage: the URL of Cloud Storage.
            variables: more environment for the function.
        """
        self._settings, self._port = settings, free_port()
        self._supervisor = Supervisor()
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GCP_PROJECT_ID": settings.project_id,
            "BIGTABLE_INSTANCE": settings.instance_id,
            "BIGTABLE_EMULATOR_HOST": str(settings.bigtable_emulator),
            "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator),
            "STORAGE_EMULATOR_HOST": storage,
            **variables,
        }
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self._supervisor.__enter__()
        try:
            second = timedelta(seconds=1)
            resources = RESOURCES.with_loads().with_fast_redelivery(
                backoff=(second, second), ack_deadline=timedelta(seconds=60)
            )
            provision_pubsub(self._settings, resources.with_push({"load": f"http://127.0.0.1:{self._port}/"}))
            self.start()
        except BaseException:
            self._supervisor.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._supervisor.__exit__(*error)  # type: ignore[arg-type]

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.process.pid

    def start(self) -> None:
        """Start the function, and wait until it answers."""
        source = ROOT / "functions" / "load" / "main.py"
        command = [str(_FRAMEWORK), "--target", "load", "--source", str(source), "--port", str(self._port)]
        self._child = self._supervisor.start("load", command, env=self._environment, cwd=ROOT)
        assert eventually(lambda: answers(self._port), 60), self._child.log_tail()

    def kill(self) -> None:
        """Kill the function, as a lost instance is."""
        assert self._child is not None
        os.killpg(self._child.process.pid, 9)
        end_child(self._supervisor, self._child)

    def memory_mib(self) -> float:
        """Return the memory of the process that runs the function, and of its parent."""
        pids = [self.pid, *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]
        sizes = [Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0] for pid in pids]
        return max(map(int, sizes)) / 1024

    def announce(self, object: ObjectVersion) -> None:
        """Publish the notification of an object."""
        message = PubsubMessage(attributes=notification(object))

        async def publish() -> None:
            async with Publisher(self._settings) as publisher:
                await publisher.publish(TOPIC, [message])

        asyncio.run(publish())
