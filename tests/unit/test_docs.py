"""The documents name tests and scenarios that exist, and give the figures that the code has."""

from __future__ import annotations

import re

from infra.resources import RESOURCES
from shared import envelope, judgement, nesting
from shared.checks import MAX_UNKNOWN
from tests.support import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
PROVISIONING = (ROOT / "docs" / "provisioning.md").read_text("utf-8")
TESTS = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", OPERATIONS + PROVISIONING))

    assert len(named) > 25
    assert {name for name in named if not re.search(rf"def {name}\(", TESTS)} == set()


def test_every_scenario_is_named() -> None:
    scenarios = set(re.findall(r"^def (\w+)\(chaos: Chaos\)", TESTS, re.MULTILINE))

    assert len(scenarios) == 5
    assert scenarios == set(re.findall(r"`([a-z_]+)`", OPERATIONS)) & scenarios


def test_limits_are_told_as_they_are() -> None:
    assert f"over {envelope.MAX_UNPACKED // 2**20} MiB" in OPERATIONS
    assert f"over {envelope.MAX_EVENTS:,} events" in OPERATIONS
    assert f"over {judgement.MAX_EVENT // 2**20} MiB" in OPERATIONS
    assert f"deeper than {nesting.MAX_DEPTH} levels" in OPERATIONS
    assert f"more than {MAX_UNKNOWN} unknown fields" in OPERATIONS


def test_what_is_declared_is_told() -> None:
    """Names, and the figures beside them."""
    named = {*RESOURCES.topics, *(each.name for each in (*RESOURCES.subscriptions, *RESOURCES.tables, *RESOURCES.jobs))}
    (job,) = RESOURCES.jobs
    ingest, keep, _ = RESOURCES.subscriptions
    by_name = {table.name: table for table in RESOURCES.tables}

    assert {name for name in named if f"`{name}`" not in PROVISIONING} == set()
    assert f"`{job.schedule}` in {job.time_zone} publishes `{job.data.decode()}`" in PROVISIONING
    assert f"; {job.retries} retries" in PROVISIONING
    assert f"{ingest.ack_deadline.total_seconds():.0f} s to answer, {ingest.retention.days} days kept" in PROVISIONING
    assert f"{ingest.minimum_backoff.seconds} to {ingest.maximum_backoff.seconds} s between attempts" in PROVISIONING
    assert f"gives up after {ingest.attempts} attempts" in PROVISIONING
    assert f"keeps dead letters for {keep.retention.days} days" in PROVISIONING
    assert f"split at {len(by_name['events'].splits)} keys" in PROVISIONING
    rejected = by_name["rejected"].families["r"].age
    assert rejected is not None
    assert f"family `r`, {rejected.days} days" in PROVISIONING
