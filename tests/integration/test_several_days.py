"""Each of several days has its own message, so a failing day affects no other.

The tests run the real relay and function.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from typing import Any

import pytest
from google.pubsub_v1.types import PubsubMessage

from shared.aggregate.day_requests import TOPIC
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import FIRST_PUBLISHED
from shared.pubsub.publisher import Publisher
from shared.tables.state import StateTable
from tests.faults.pipeline import Pipeline
from tests.faults.proxy import Code, FaultProxy, Faults
from tests.support.samples import MUSIC_CONTRACT, dump, lines, message, music_event

LATE_DAYS = [date(2024, 1, day) for day in (15, 16, 17)]
DAYS_DUE = [*LATE_DAYS, date(2024, 1, 18)]
ATTRIBUTES = {FIRST_PUBLISHED: "2024-01-19T01:00:00Z"}
SUBSCRIPTION = "aggregate-run"


@pytest.fixture
def proxy(empty_instance: Settings) -> Iterator[FaultProxy]:
    with FaultProxy(str(empty_instance.bigtable_emulator)) as proxy:
        yield proxy


@pytest.fixture
def pipeline(empty_instance: Settings, proxy: FaultProxy) -> Iterator[Pipeline]:
    with Pipeline(empty_instance, proxy.address) as pipeline:
        yield pipeline


@pytest.fixture
async def state(empty_instance: Settings, pipeline: Pipeline) -> AsyncIterator[StateTable]:
    """The state of an instance with one event on each late day."""
    bigtable = Bigtable(empty_instance)
    events = [music_event(day.day, timestamp=f"{day}T12:00:00Z") for day in LATE_DAYS]
    await IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT)).process(message(lines(events)))
    yield StateTable(bigtable)
    await bigtable.close()


async def request_days_due(settings: Settings) -> None:
    """Publish the empty request of the schedule, dated the morning after the days due."""
    async with Publisher(settings) as publisher:
        await publisher.publish(TOPIC, [PubsubMessage(data=b"{}", attributes=ATTRIBUTES)])


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the condition depends on other processes
            await asyncio.sleep(0.05)


def days_computed(settings: Settings) -> list[str]:
    return [row.decode() for row in dump(settings, "state", b"run#")]


def all_measures(settings: Settings) -> dict[bytes, dict[str, Any]]:
    """Return all stored measures without the timestamps of their runs."""
    return {
        row: {name.decode(): [json.loads(value) for _, value in versions] for (_, name), versions in columns.items()}
        for row, columns in dump(settings, "aggregates").items()
    }


async def test_a_failing_day_delays_no_other_and_is_logged(
    empty_instance: Settings, proxy: FaultProxy, pipeline: Pipeline, state: StateTable
) -> None:
    def is_of_first_day(row_key: bytes) -> bool:
        return b"#20240115" in row_key

    proxy.faults = Faults(refuse=(is_of_first_day, Code.PERMISSION_DENIED))
    await request_days_due(empty_instance)
    await wait_until(lambda: len(days_computed(empty_instance)) == 3)
    await wait_until(lambda: pipeline.deliveries(SUBSCRIPTION)["failed"] >= 3)

    assert days_computed(empty_instance) == [f"run#{day:%Y%m%d}" for day in DAYS_DUE[1:]]
    failed = [json.loads(line) for line in pipeline.log("aggregate").splitlines() if '"ERROR"' in line]
    assert {(line["day"], "PERMISSION_DENIED" in line["message"]) for line in failed} == {("2024-01-15", True)}

    proxy.faults = Faults()
    await wait_until(lambda: len(days_computed(empty_instance)) == 4)
    await wait_until(lambda: pipeline.deliveries(SUBSCRIPTION)["acknowledged"] == 1 + len(DAYS_DUE))

    assert all_measures(empty_instance)[b"all#20240115#all"]["total_events"] == [1]


async def test_a_repeated_request_changes_no_measure(
    empty_instance: Settings, pipeline: Pipeline, state: StateTable
) -> None:
    """The late days are computed again: their marks stay for ten minutes after the event."""
    await request_days_due(empty_instance)
    await wait_until(lambda: pipeline.deliveries(SUBSCRIPTION)["acknowledged"] == 1 + len(DAYS_DUE))
    first = all_measures(empty_instance)

    await request_days_due(empty_instance)
    await wait_until(lambda: pipeline.deliveries(SUBSCRIPTION)["acknowledged"] == 2 * (1 + len(DAYS_DUE)))

    assert await state.late_days() == LATE_DAYS
    assert all_measures(empty_instance) == first
    assert [row for row in first if row.startswith(b"all#")] == [f"all#{day:%Y%m%d}#all".encode() for day in DAYS_DUE]
