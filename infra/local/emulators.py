"""The emulators of a local stack: the embedded ones, or Google's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from infra.local import google_emulators
from infra.local.ports import accepts
from infra.local.supervisor import Supervisor
from infra.provision.resources import LOCAL_WITH_LOADS
from shared.config import EMULATOR_VARIABLES

Engine = Literal["embedded", "google"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
# The ports that each engine needs: one for all services, or one each.
PORTS: dict[Engine, tuple[str, ...]] = {"embedded": ("emulators",), "google": ("bigtable", "pubsub", "scheduler")}

_ROOT = Path(__file__).resolve().parents[2]


def check_installed(engine: Engine) -> None:
    """Raise MissingProgramError, with installation commands, if a program of the engine is missing."""
    if engine == "google":
        google_emulators.find_bigtable(), google_emulators.find_java(), google_emulators.find_pubsub()


def variables(engine: Engine, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the environment variables by which clients find the emulators."""
    return {
        variable: f"127.0.0.1:{ports['emulators' if engine == 'embedded' else service]}"
        for service, variable in EMULATOR_VARIABLES.items()
    }


def start_embedded(
    supervisor: Supervisor, port: int, *, data: Path | None, push_limits: Mapping[str, int], stats: Path
) -> None:
    """Start the embedded emulators, without waiting until they answer.

    Args:
        supervisor: ends them.
        port: the port of all three services.
        data: the folder that keeps their data; None keeps it in memory.
        push_limits: the most pushes at once, by the full name of a subscription.
        stats: the file for the counts of deliveries.
    """
    options = [f"--port={port}", f"--stats={stats}", *([f"--data={data.resolve()}"] if data else [])]
    # The functions get other ports in each run. A push to an old port fails, or reaches another program.
    options += [f"--forget-endpoint={each.name}" for each in LOCAL_WITH_LOADS.subscriptions if each.function]
    options += [f"--push-limit={name}={limit}" for name, limit in push_limits.items()]
    supervisor.start("emulators", [sys.executable, "-m", "infra.emulators", *options], env=os.environ, cwd=_ROOT)


def start_google(supervisor: Supervisor, ports: Mapping[str, int]) -> None:
    """Start Google's emulators of Bigtable and Pub/Sub, without waiting until they answer."""
    google_emulators.start_bigtable(supervisor, ports["bigtable"])
    google_emulators.start_pubsub(supervisor, ports["pubsub"])


def wait_until_ready(supervisor: Supervisor, engine: Engine, ports: Mapping[str, int], service: str) -> None:
    """Wait until a service accepts connections; raises StackError."""
    port = ports["emulators" if engine == "embedded" else service]
    supervisor.wait_until(partial(accepts, port), f"the emulator of {service} doesn't answer")
