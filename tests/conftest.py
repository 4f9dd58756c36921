"""Fixtures of several tiers: Google's emulators, started once a process, and empty instances in them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

import infra  # noqa: F401 - before gRPC is imported: it turns off the fork handlers that abort child processes
from shared.bigtable.client import Bigtable
from shared.config import Settings
from tests.support.emulators import running_emulators

# Workers take tests in this order, so that the last ones to end are short.
_ORDER = ("slow", "bundle", "gcloud", "integration")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests that share a module's fixture, for `--dist loadgroup`, and order all by duration."""
    for item in items:
        if _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_rank)


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Return whether a test uses a fixture of its module: separate workers would each make their own."""
    info = getattr(item, "_fixtureinfo", None)
    definitions = info.name2fixturedefs.values() if info else ()
    return any(each.scope == "module" for every in definitions for each in every)


def _rank(item: pytest.Item) -> int:
    return next((rank for rank, name in enumerate(_ORDER) if item.get_closest_marker(name)), len(_ORDER))


@pytest.fixture(scope="session")
def emulators() -> Iterator[Settings]:
    """Run emulators and scheduler for the whole session; without them tests are skipped, or fail where CI is set."""
    yield from running_emulators()


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
    from infra.provision.bigtable import provision_bigtable

    provision_bigtable(settings)
    return settings
