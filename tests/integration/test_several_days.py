"""Several days are several messages, one each: what happens to one happens to no other.

The relay and the function are the real ones.
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

LATE = [date(2024, 1, day) for day in (15, 16, 17)]
DUE = [*LATE, date(2024, 1, 18)]
ASKED = {FIRST_PUBLISHED: "2024-01-19T01:00:00Z"}
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
    """The state of an instance with an event of each of the late days."""
    bigtable = Bigtable(empty_instance)
    events = [music_event(day.day, timestamp=f"{day}T12:00:00Z") for day in LATE]
    await IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT)).process(message(lines(events)))
    yield StateTable(bigtable)
    await bigtable.close()


async def ask_for_what_is_due(settings: Settings) -> None:
    """Publish what the schedule publishes, as of the morning after the days that are due."""
    async with Publisher(settings) as publisher:
        await publisher.publish(TOPIC, [PubsubMessage(data=b"{}", attributes=ASKED)])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in other processes
            await asyncio.sleep(0.05)


def computed(settings: Settings) -> list[str]:
    return [row.decode() for row in dump(settings, "state", b"run#")]


def figures(settings: Settings) -> dict[bytes, dict[str, Any]]:
    """Return all figures that there are, without the times of their runs."""
    return {
        row: {name.decode(): [json.loads(value) for _, value in versions] for (_, name), versions in columns.items()}
        for row, columns in dump(settings, "aggregates").items()
    }


async def test_a_day_that_keeps_failing_holds_up_no_other_and_is_named(
    empty_instance: Settings, proxy: FaultProxy, pipeline: Pipeline, state: StateTable
) -> None:
    def of_the_first(row_key: bytes) -> bool:
        return b"#20240115" in row_key

    proxy.faults = Faults(refuse=(of_the_first, Code.PERMISSION_DENIED))
    await ask_for_what_is_due(empty_instance)
    await until(lambda: len(computed(empty_instance)) == 3)
    await until(lambda: pipeline.relayed(SUBSCRIPTION)["failed"] >= 3)

    assert computed(empty_instance) == [f"run#{day:%Y%m%d}" for day in DUE[1:]]
    failed = [json.loads(line) for line in pipeline.log("aggregate").splitlines() if '"ERROR"' in line]
    assert {(line["day"], "PERMISSION_DENIED" in line["message"]) for line in failed} == {("2024-01-15", True)}

    proxy.faults = Faults()
    await until(lambda: len(computed(empty_instance)) == 4)
    await until(lambda: pipeline.relayed(SUBSCRIPTION)["acknowledged"] == 1 + len(DUE))

    assert figures(empty_instance)[b"all#20240115#all"]["total_events"] == [1]


async def test_a_request_that_comes_again_changes_no_figure(
    empty_instance: Settings, pipeline: Pipeline, state: StateTable
) -> None:
    """Its late days are late still: a mark outlives its event by ten minutes, so they are computed once more."""
    await ask_for_what_is_due(empty_instance)
    await until(lambda: pipeline.relayed(SUBSCRIPTION)["acknowledged"] == 1 + len(DUE))
    first = figures(empty_instance)

    await ask_for_what_is_due(empty_instance)
    await until(lambda: pipeline.relayed(SUBSCRIPTION)["acknowledged"] == 2 * (1 + len(DUE)))

    assert await state.late_days() == LATE
    assert figures(empty_instance) == first
    assert [row for row in first if row.startswith(b"all#")] == [f"all#{day:%Y%m%d}#all".encode() for day in DUE]
