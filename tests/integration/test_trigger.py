"""`sluice trigger aggregate` runs the daily job or requests days, and its requests reach the topic."""

from __future__ import annotations

from functools import partial

import pytest

from infra.provision.pubsub import provision_pubsub
from infra.provision.scheduler import provision_schedule
from shared.config import Settings
from tests.integration.conftest import requests
from tests.support.command_line import Sluice


@pytest.fixture
def trigger(sluice: Sluice) -> Sluice:
    """Run `sluice trigger aggregate`."""
    return partial(sluice, "trigger", "aggregate")


def test_without_a_date_the_scheduled_job_runs(settings: Settings, trigger: Sluice) -> None:
    provision_pubsub(settings)
    assert provision_schedule(settings)
    assert not provision_schedule(settings)

    code, out, _ = trigger()

    assert (code, out) == (
        0,
        "job aggregate-daily was run: it has published its request to aggregate-requests, "
        "for yesterday, late days and missed days\n",
    )
    assert requests(settings, 1) == [b"{}"]


def test_each_day_is_requested_by_its_own_message(settings: Settings, trigger: Sluice) -> None:
    provision_pubsub(settings)

    code, out, _ = trigger("--from", "2024-01-15", "--to", "2024-01-16")

    assert (code, out) == (0, "2024-01-15 to 2024-01-16 were requested by 2 messages to aggregate-requests\n")
    assert requests(settings, 2) == [b'{"date": "2024-01-15"}', b'{"date": "2024-01-16"}']
    assert trigger("--date", "2024-01-17", "--json").json == {
        "topic": "aggregate-requests",
        "days": ["2024-01-17"],
    }


def test_missing_resources_and_options_are_named(settings: Settings, trigger: Sluice) -> None:
    code, _, err = trigger()
    assert (code, "aggregate-daily: found none, expected it to exist; `sluice provision` makes it" in err) == (1, True)

    provision_schedule(settings)
    code, _, err = trigger()  # the topic is missing
    assert (code, "aggregate-daily: can't publish: " in err) == (1, True)

    code, _, err = trigger("--date", "2024-01-15")
    assert (code, "topics/aggregate-requests: found none, expected it to exist" in err) == (1, True)
    code, _, err = trigger("--from", "2024-01-15")
    assert (code, "found one of --from and --to, expected both" in err) == (2, True)
