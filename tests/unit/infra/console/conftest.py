"""A console without a server, on tables in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.console.app import create_app
from shared.config import Settings
from tests.support.console_tables import FakeAggregates, FakeEvents, FakeRejected, FakeState


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = create_app(Settings("a-project", "an-instance"))
    with TestClient(app, base_url="http://127.0.0.1:8087", follow_redirects=False) as client:
        yield client


@pytest.fixture
def tables(client: TestClient) -> Any:
    """The tables of the console, empty."""
    tables = client.app.state.tables  # type: ignore[attr-defined]  # the type is ASGIApp
    tables.state = FakeState()
    tables.events = FakeEvents()
    tables.rejected = FakeRejected()
    tables.aggregates = FakeAggregates()
    return tables
