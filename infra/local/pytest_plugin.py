"""A pytest plugin: fixtures that run the embedded emulators for the tests of any project.

Enable it in the conftest.py at the root of your tests:

    pytest_plugins = ["infra.local.pytest_plugin"]
"""

from __future__ import annotations

from collections.abc import Iterator

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import pytest

from infra.local import emulators
from infra.local.ports import free_ports
from infra.local.supervisor import Supervisor


@pytest.fixture(scope="session")
def google_cloud_emulators() -> Iterator[dict[str, str]]:
    """Run the emulators for the session; yields the variables by which clients find them.

    The tests of a session share them, so a test uses a project or names of its own.
    """
    [port] = free_ports(1)
    with Supervisor() as supervisor:
        stats = supervisor.folder / "deliveries.json"
        emulators.start_embedded(supervisor, port, data=None, push_limits={}, stats=stats)
        emulators.wait_until_ready(supervisor, "embedded", {"emulators": port}, "bigtable")
        yield emulators.variables("embedded", {"emulators": port})


@pytest.fixture
def google_cloud_environment(google_cloud_emulators: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables of the emulators in the environment of a test; returns them."""
    for variable, address in google_cloud_emulators.items():
        monkeypatch.setenv(variable, address)
    return google_cloud_emulators
