"""The scenarios of `make soak`, made short: whatever is killed or broken, the tables hold what the log says."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import Settings
from tests.faults import scenarios
from tests.faults.scenarios import Scenario, Size, play

SHORT = Size(events=2_000, users=200, seconds=3.0, patience=60.0)

# What a scenario has to have done: one that did nothing would prove nothing.
DONE = {
    scenarios.kills_of_ingest: {"kill -9 ingest": 3},
    scenarios.a_failing_bigtable: {"connections reset": 1, "darkness": 1, "answer lost": 1, "entry failed": 20},
    scenarios.kills_of_the_relay: {"kill -9 relay": 3},
    scenarios.endings_under_load: {"SIGTERM ingest": 3, "SIGTERM relay": 1, "darkness": 1},
    scenarios.everything: {"kill -9 ingest": 1, "kill -9 relay": 1, "answer lost": 1, "entry failed": 20},
}


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=[each.__name__ for each in scenarios.SCENARIOS])
def test_nothing_is_lost_and_nothing_is_there_twice(
    scenario: Scenario, empty_instance: Settings, tmp_path: Path
) -> None:
    outcome = play(scenario, empty_instance, SHORT, tmp_path)

    assert outcome.promise_kept, outcome.summary()
    assert (outcome.events, outcome.lost, outcome.doubled) == (2_000, 0, 0)
    assert outcome.bad > 0
    assert outcome.published == 2_400
    assert outcome.figures > 300
    done = {"kill -9 aggregate": 1, **DONE[scenario]}
    assert {what: count for what, count in done.items() if outcome.faults[what] < count} == {}
    assert all(seconds <= 10 for seconds in outcome.endings)  # what Cloud Run gives
    assert 0 < outcome.peak < 256
