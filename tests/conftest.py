"""Fixtures of several tiers: emulators, started once a process, and empty instances in them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import pytest
from msgspec.structs import replace

from shared.bigtable.client import Bigtable
from shared.config import Settings
from tests.support.emulators import engine, running_emulators

# Workers take tests in this order after the slow ones, so that the last ones to end are short.
_TIERS = ("bundle", "gcloud", "integration", "unit")
_COVERED_TIERS = ("integration", "unit")
_TESTS = Path(__file__).parent
_MAX_ID_LENGTH = 80  # characters or bytes of a parameter
_SLOW_TIMEOUT = 300  # seconds; a busy machine takes several times as long as an idle one


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long contents and gzip after their argument.

    A name with the contents is unreadable. With gzip, which contains the time, it would differ between workers.
    """
    is_gzip = isinstance(val, bytes) and val.startswith(b"\x1f\x8b")
    is_long = isinstance(val, bytes | str) and len(val) > _MAX_ID_LENGTH
    return argname if is_gzip or is_long else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests that share a costly fixture, for `--dist loadgroup`; put slow tests and slow tiers first."""
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
        slow = item.get_closest_marker("slow") is not None
        if slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SLOW_TIMEOUT))
        # Measuring coverage doubles the time of a test. Other tests cover the lines of these, which repeat them.
        if slow or _tier(item) not in _COVERED_TIERS or getattr(item.obj, "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)
    items.sort(key=_rank)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """End the measurement of coverage that pytest-cov 7.1 begins early in a worker of pytest-xdist.

    It begins another one here. A pause of that one would continue the first, so `no_cover` would have no effect.
    """
    plugin = session.config.pluginmanager.getplugin("_cov")
    if hasattr(session.config, "workerinput") and plugin is not None and plugin.cov_controller is not None:
        plugin.cov_controller.cov.stop()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where pytest-xdist ignores groups: each worker would set up every costly fixture."""
    if not session.config.getoption("loadgroup", False):
        return
    for item in session.items:
        group = item.get_closest_marker("xdist_group")
        if group and "@" not in item.nodeid.rpartition("]")[2]:
            raise pytest.UsageError(f"{item.nodeid}: found no group, expected @{group.args[0]}; is pytest too new?")


def _group(item: pytest.Item) -> str:
    """Return the group of a test, "" for none.

    Tests with a fixture of their module form a group, and those with the same parameter of a session's fixture:
    separate workers would each set it up.
    """
    if not isinstance(item, pytest.Function):
        return ""
    fixtures = {name: {each.scope for each in found} for name, found in item._fixtureinfo.name2fixturedefs.items()}
    if any("module" in scopes for scopes in fixtures.values()):
        return item.path.stem
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return "-".join(f"{name}-{value}" for name, value in parameters.items() if "session" in fixtures.get(name, ()))


def _rank(item: pytest.Item) -> tuple[bool, int]:
    is_slow = item.get_closest_marker("slow") is not None
    tier = _tier(item)
    return not is_slow, _TIERS.index(tier) if tier in _TIERS else len(_TIERS)


def _tier(item: pytest.Item) -> str:
    """Return the folder of the test in `tests`."""
    return item.path.relative_to(_TESTS).parts[0]


@pytest.fixture(scope="session")
def emulators() -> Iterator[Settings]:
    """Run the embedded emulators for the whole session, or Google's with EMULATORS=google."""
    yield from running_emulators(engine())


@pytest.fixture(scope="session")
def google_emulators() -> Iterator[Settings]:
    """Run Google's emulators for the whole session; without them tests are skipped, or fail where CI is set."""
    yield from running_emulators("google")


@pytest.fixture
def new_instance(emulators: Settings) -> Callable[[], Settings]:
    """Return a function that returns the settings of an empty project and instance, unused by other tests."""

    def make() -> Settings:
        name = uuid.uuid4().hex[:12]
        return replace(emulators, project_id=f"project-{name}", instance_id=f"instance-{name}")

    return make


@pytest.fixture
def empty_instance(new_instance: Callable[[], Settings]) -> Settings:
    """An instance without tables, a project without topics."""
    return new_instance()


@pytest.fixture
def settings(new_instance: Callable[[], Settings]) -> Settings:
    """An instance with empty tables."""
    return _with_tables(new_instance())


@pytest.fixture
def other_settings(new_instance: Callable[[], Settings]) -> Settings:
    """Another instance with empty tables."""
    return _with_tables(new_instance())


@pytest.fixture
async def bigtable(settings: Settings) -> AsyncIterator[Bigtable]:
    """A connection to the instance of `settings`."""
    connection = Bigtable(settings)
    yield connection
    await connection.close()


def _with_tables(settings: Settings) -> Settings:
    """Create the tables; `rejected` keeps events of any day, since many tests publish events of 2024."""
    from infra.provision.bigtable import provision_bigtable
    from infra.provision.resources import RESOURCES

    provision_bigtable(settings, RESOURCES.with_retention({"rejected": None}))
    return settings
