"""The console shows the sample events as the tables have them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from infra.console.app import create_app
from shared.config import Settings
from tests.support.console_server import sample_settings
from tests.support.html_page import Page, check_page


@pytest.fixture(scope="module")
def console(emulators: Settings) -> Iterator[TestClient]:
    app = create_app(sample_settings(emulators))
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def show(console: TestClient, address: str) -> Page:
    response = console.get(address)
    assert response.status_code == 200, response.text
    return check_page(response.text)


def test_days_shows_the_sample_days(console: TestClient) -> None:
    rows = show(console, "/").rows()

    assert [row[:3] for row in rows][:4] == [
        ["2024-01-17", "303", "0"],
        ["2024-01-16", "381", "0"],
        ["2024-01-15", "501", "0"],
        ["2024-01-14", "-", "-"],
    ]
    # The events were stored minutes ago, so the next scheduled run computes their days again.
    assert [row[4] for row in rows[:3]] == ["late events, due again"] * 3
