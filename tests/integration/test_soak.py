"""Short scenarios of `make soak`: under kills and faults the tables contain exactly the events of the log."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.config import Settings
from tests.faults import scenarios
from tests.faults.scenarios import Outcome, Scenario, Size, play

SHORT = Size(events=2_000, users=200, seconds=3.0, max_wait=60.0)

# The least number of faults of each scenario: without them it would prove nothing.
LEAST_FAULTS = {
    scenarios.kills_of_ingest: {"kill -9 ingest": 3},
    scenarios.a_failing_bigtable: {"connections reset": 1, "outage": 1, "response lost": 1, "entry failed": 20},
    scenarios.kills_of_the_delivery: {"kill -9 delivery": 3},
    scenarios.shutdowns_under_load: {"SIGTERM ingest": 3, "SIGTERM delivery": 1, "outage": 1},
    scenarios.everything: {"kill -9 ingest": 1, "kill -9 delivery": 1, "response lost": 1, "entry failed": 20},
}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=[each.__name__ for each in scenarios.SCENARIOS])
def test_every_event_is_stored_exactly_once(scenario: Scenario, empty_instance: Settings, tmp_path: Path) -> None:
    check(scenario, play(scenario, empty_instance, SHORT, tmp_path))


@pytest.mark.slow
def test_every_event_is_stored_exactly_once_with_googles_emulators(google_emulators: Settings, tmp_path: Path) -> None:
    """The relay is killed; `make soak ARGS='--emulators google'` plays the other scenarios."""
    scenario = scenarios.kills_of_the_delivery
    name = uuid.uuid4().hex[:12]
    settings = replace(google_emulators, project_id=f"project-{name}", instance_id=f"instance-{name}")

    check(scenario, play(scenario, settings, SHORT, tmp_path, engine="google"))


def check(scenario: Scenario, outcome: Outcome) -> None:
    assert outcome.is_correct, outcome.summary()
    assert (outcome.events, outcome.lost, outcome.doubled) == (2_000, 0, 0)
    assert outcome.bad > 0
    assert outcome.published == 2_400
    assert outcome.aggregates > 300
    least = {"kill -9 aggregate": 1, **LEAST_FAULTS[scenario]}
    assert {kind: count for kind, count in least.items() if outcome.faults[kind] < count} == {}
    assert all(seconds <= 10 for seconds in outcome.shutdowns)  # the grace period of Cloud Run
    assert 0 < outcome.peak < 256
