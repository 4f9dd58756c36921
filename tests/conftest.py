"""Fixtures that several tiers share: Google's emulators, started once, and instances of one's own in them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import pytest

from shared.bigtable.client import Bigtable
from shared.config import Settings
from tests.support.emulators import running


@pytest.fixture(scope="session")
def emulators() -> Iterator[Settings]:
    """Run emulators and scheduler for the whole session; without them tests are skipped, or fail where CI is set."""
    yield from running()


@pytest.fixture
def new_instance(emulators: Settings) -> Callable[[], Settings]:
    """Make settings of a project and an instance that nobody else uses, without anything in them."""

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
