"""A console without a server, on tables in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.console.app import create_app
from shared.config import Settings
from tests.support.console_forms import ORIGIN
from tests.support.console_tables import FakeAggregates, FakeEvents, FakeRejected, FakeState

SETTINGS = Settings("a-project", "an-instance", bigtable_emulator="127.0.0.1:1", pubsub_emulator="127.0.0.1:1")


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = create_app(Settings("a-project", "an-instance"))
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        yield client


@pytest.fixture
def tables(client: TestClient) -> Any:
    """The tables of the console, empty."""
    return _empty_tables(client)


@pytest.fixture
def changing() -> Iterator[TestClient]:
    """A console that may change something, on the addresses of emulators that don't answer, with empty tables."""
    app = create_app(SETTINGS, allow_changes=True)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        _empty_tables(client)
        yield client


def _empty_tables(client: TestClient) -> Any:
    tables = client.app.state.tables  # type: ignore[attr-defined]  # the type is ASGIApp
    tables.state = FakeState()
    tables.events = FakeEvents()
    tables.rejected = FakeRejected()
    tables.aggregates = FakeAggregates()
    return tables
