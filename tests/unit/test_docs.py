"""The documents name tests and scenarios that exist, and give the figures that the code has."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

from google.cloud.scheduler_v1.types import CreateJobRequest, Job

from infra.deploy.config import load
from infra.deploy.steps import Target, deploy_steps
from infra.deploy.teardown import teardown_steps
from infra.emulators.scheduler.jobs import complete_job
from infra.provision.plan import plan_job, plan_table, plan_topics
from infra.provision.pubsub import PubSub
from infra.provision.resources import RESOURCES
from infra.provision.scheduler_client import JOB, TOPIC, job_message
from shared import json_nesting
from shared.aggregate.pipeline import MAX_MISSED_DAYS
from shared.config import Settings
from shared.pubsub.message import MAX_EVENTS_PER_MESSAGE, MAX_UNPACKED_BYTES
from shared.validation import validator
from shared.validation.checks import MAX_UNKNOWN_FINDINGS
from tests.support.samples import ROOT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
PROVISIONING = (ROOT / "docs" / "provisioning.md").read_text("utf-8")
SCHEDULE = (ROOT / "docs" / "schedule.md").read_text("utf-8")
EVERYTHING = "\n".join(path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TESTS = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", EVERYTHING))

    assert len(named) > 25
    assert {name for name in named if not re.search(rf"def {name}\(", TESTS)} == set()


def test_every_scenario_is_named() -> None:
    scenarios = set(re.findall(r"^def (\w+)\(chaos: Chaos\)", TESTS, re.MULTILINE))

    assert len(scenarios) == 5
    assert scenarios == set(re.findall(r"`([a-z_]+)`", OPERATIONS)) & scenarios


def test_limits_are_told_as_they_are() -> None:
    assert f"over {MAX_UNPACKED_BYTES // 2**20} MiB" in OPERATIONS
    assert f"over {MAX_EVENTS_PER_MESSAGE:,} events" in OPERATIONS
    assert f"over {validator.MAX_EVENT_BYTES // 2**20} MiB" in OPERATIONS
    assert f"deeper than {json_nesting.MAX_NESTING_DEPTH} levels" in OPERATIONS
    assert f"more than {MAX_UNKNOWN_FINDINGS} unknown fields" in OPERATIONS
    assert f"{MAX_MISSED_DAYS} days back at most" in OPERATIONS
    assert f"{MAX_MISSED_DAYS} days back at most" in SCHEDULE


def test_the_daily_job_is_told_as_it_is() -> None:
    [declared] = RESOURCES.jobs
    job = job_message(Settings("p", "i"), declared)

    assert (job.schedule, job.time_zone) == ("0 1 * * *", "Etc/UTC")
    assert f"One job of Cloud Scheduler, `{JOB}`, publishes `{{}}` to the topic `{TOPIC}` at 01:00 UTC" in SCHEDULE
    assert job.pubsub_target.data == b"{}"


def test_the_lines_that_lead_to_the_local_scheduler_do() -> None:
    [lines] = re.findall(r"```python\n(.*?)```", SCHEDULE, re.DOTALL)
    called = []
    names: dict[str, object] = {}
    connecting, calling = lines.split("client.create_job")
    exec(connecting, names)
    names["client"] = SimpleNamespace(create_job=lambda **request: called.append(CreateJobRequest(request)))
    exec("client.create_job" + calling, names)

    assert complete_job(Job.pb(called[0].job))


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


def test_what_provisioning_prints_on_google_cloud_is_told() -> None:
    pubsub = PubSub(Settings("p", "i"), RESOURCES, None, None)
    changes = [
        *plan_topics(RESOURCES.topics, ()),
        *pubsub.plan_creation(),
        *(change for table in RESOURCES.tables for change in plan_table(table, None)),
        *(change for job in RESOURCES.jobs for change in plan_job(job, None)),
    ]

    assert "".join(f"   {change.line()}\n" for change in changes) in DEPLOY


def test_what_deploying_and_destroying_print_is_told() -> None:
    """Every line of a kind that is a step's is one of them."""
    target = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))
    steps = [*deploy_steps(target, load()), *teardown_steps(target)]
    # "the" alone begins too many other lines.
    kinds = {step.title.split()[0] for step in steps} - {"the"} | {"the function", "the role", "the account", "the sub"}

    told = re.findall(rf"^ +((?:{'|'.join(kinds)}).*)$", DEPLOY, re.MULTILINE)

    assert len(told) > 10
    assert {line for line in told if not line.startswith(("the tables", "the instance"))} <= {
        step.title for step in steps
    }
