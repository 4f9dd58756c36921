"""Fixtures and hypothesis profiles of the unit tests.

The profiles have no deadline, because a busy machine would exceed it. `pytest --hypothesis-profile=thorough` runs 40
times as many examples as the default.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from shared.runtime import logs

settings.register_profile("sluice", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("sluice"), max_examples=2_000)
settings.load_profile("sluice")


@pytest.fixture(autouse=True)
def plain_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the labels of the process's log for each test, and restore them afterwards."""
    monkeypatch.setattr(logs, "_labels", {})
    monkeypatch.setattr(logs, "_project", "")
