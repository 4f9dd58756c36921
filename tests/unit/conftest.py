"""What all unit tests share: a log without labels, and how hypothesis behaves.

It has no time limit an example, since a busy machine isn't a bug.
`pytest --hypothesis-profile=thorough` looks much further than an everyday run.
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
    """A process has one log; what a test says of it ends with the test."""
    monkeypatch.setattr(logs, "_labels", {})
    monkeypatch.setattr(logs, "_project", "")
