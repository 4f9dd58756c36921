"""A simulated week: events published day by day, two nights with the schedule paused, late events.

The events are generated, and also those of the real logs where these exist beside the project. A manual clock sets the
time. Messages pass through topics of the emulator to the code of the functions; the scheduler sends the requests.
"""

from __future__ import annotations

import asyncio
import base64
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.cloud.scheduler_v1.types import Job
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import PubsubMessage
from msgspec.structs import replace

from infra.emulators.scheduler.server import publisher, serving
from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES, Resources
from infra.provision.scheduler import provision_schedule
from infra.provision.scheduler_client import JOB, location, scheduler_client
from shared.aggregate.fan_out import request_days
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import CONTENT_TYPE, FIRST_PUBLISHED, LINES, Message, receive
from shared.pubsub.publisher import Publisher
from shared.tables.aggregates import AggregatesTable
from shared.tables.state import StateTable
from tests.support import web_log
from tests.support.clock import ManualClock
from tests.support.samples import SPARKIFY, SPARKIFY_CONTRACT, lines, sparkify_records

WEEK = [date(2018, 11, day) for day in range(5, 12)]  # from Monday to Sunday
# Every tenth event of these days arrives two days late, at noon.
LATE = (WEEK[0], WEEK[1], WEEK[4])
CONTRACT = load_contract(SPARKIFY_CONTRACT)
Records = list[dict[str, Any]]


class Week:
    """The pipeline on a manual clock."""

    def __init__(self, settings: Settings, bigtable: Bigtable, clock: ManualClock, publish: Publisher) -> None:
        self.settings, self.clock = settings, clock
        self.state, self.rollups = StateTable(bigtable), AggregatesTable(bigtable, StateTable(bigtable))
        self.ran: list[tuple[str, list[int]]] = []
        self._ingest, self._aggregate = IngestPipeline(bigtable, CONTRACT), AggregatePipeline(bigtable, CONTRACT)
        self._publisher = publish

    async def publish(self, records: Records) -> None:
        """Publish events at the current time of the clock, and process all of them."""
        at = {FIRST_PUBLISHED: self.clock.now().isoformat()}
        messages = [
            PubsubMessage(data=lines(records[start : start + 100]), attributes={**at, CONTENT_TYPE: LINES})
            for start in range(0, len(records), 100)
        ]
        await self._publisher.publish("events", messages)
        await self._deliver("events-ingest", len(messages), self._ingest.process)

    async def aggregate(self) -> None:
        """Process the one pending request, and the requests published for its days, as the function does."""
        requested: list[date] = []

        async def handle(message: Message) -> None:
            match await self._aggregate.days(message):
                case [day]:
                    await self._aggregate.run(day)
                    self.ran[-1][1].append(day.day)
                case days:
                    await request_days(self.settings, days)
                    requested.extend(days)

        async def begin(message: Message) -> None:
            self.ran.append((f"{message.published:%d %H:%M}", []))
            await handle(message)

        await self._deliver("aggregate-run", 1, begin)
        await self._deliver("aggregate-run", len(requested), handle)
        self.ran[-1][1].sort()

    async def update_job(self, update: Callable[[Any, str], Job]) -> None:
        """Update the daily job through Google's client."""

        def call() -> None:
            with scheduler_client(self.settings) as client:
                update(client, f"{location(self.settings)}/jobs/{JOB}")

        await asyncio.to_thread(call)

    async def _deliver(self, subscription: str, count: int, handle: Callable[[Message], Awaitable[None]]) -> None:
        name = f"projects/{self.settings.project_id}/subscriptions/{subscription}"
        async with grpc.aio.insecure_channel(str(self.settings.pubsub_emulator)) as channel:
            client = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
            while count > 0:
                response = await client.pull(subscription=name, max_messages=100, timeout=30)
                for received in response.received_messages:
                    await handle(as_received(received.message))
                count -= len(response.received_messages)
                if ids := [received.ack_id for received in response.received_messages]:
                    await client.acknowledge(subscription=name, ack_ids=ids, timeout=10)
        assert count == 0


def as_received(message: PubsubMessage) -> Message:
    """Return the message that a function receives in a CloudEvent."""
    pushed = {
        "data": base64.b64encode(message.data).decode(),
        "attributes": dict(message.attributes),
        "messageId": message.message_id,
        "publishTime": message.publish_time.isoformat(),
    }
    return receive({"message": pushed})


@pytest.fixture
async def week(settings: Settings, bigtable: Bigtable, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Week]:
    async with simulated(settings, bigtable, monkeypatch, RESOURCES) as simulation:
        yield simulation


@asynccontextmanager
async def simulated(
    settings: Settings, bigtable: Bigtable, monkeypatch: pytest.MonkeyPatch, resources: Resources
) -> AsyncIterator[Week]:
    """Run the pipeline from the start of a Monday in 2018 on, with the jobs in a separate scheduler."""
    provision_pubsub(settings)
    clock = ManualClock(datetime(2018, 11, 5, tzinfo=UTC))
    times = SimpleNamespace(time=lambda: clock.now().timestamp(), monotonic=lambda: clock.now().timestamp())
    monkeypatch.setattr("shared.tables.state.time", times)
    monkeypatch.setattr("shared.tables.state.now", clock.now)
    monkeypatch.setattr("shared.aggregate.pipeline.now", clock.now)

    async with publisher(str(settings.pubsub_emulator)) as send, Publisher(settings) as publish:

        async def stamped(topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
            """Publish with the time of the clock; Pub/Sub itself would set the real time."""
            await send(topic, data, {**attributes, FIRST_PUBLISHED: clock.now().isoformat()})

        async with serving(stamped, clock) as port:
            settings = replace(settings, scheduler_emulator=f"127.0.0.1:{port}")
            assert await asyncio.to_thread(provision_schedule, settings, resources)
            yield Week(settings, bigtable, clock, publish)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"the real logs are missing: {SPARKIFY}")


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """A folder with the generated logs of the week."""
    web_log.write(tmp_path, WEEK)
    return tmp_path


@pytest.fixture(params=["generated", pytest.param("real", marks=needs_sparkify)])
def log(request: pytest.FixtureRequest, generated: Path) -> Records:
    """The records of the week, and of other weeks."""
    return sparkify_records(generated if request.param == "generated" else SPARKIFY)


@needs_sparkify
def test_generated_logs_have_the_types_of_the_real_ones(generated: Path) -> None:
    def types(records: Records) -> dict[str, set[type]]:
        return {key: {type(record[key]) for record in records} for key in records[0]}

    assert types(sparkify_records(generated)) == types(sparkify_records())


@pytest.mark.slow
async def test_a_week_with_missed_nights_and_late_events_adds_up(week: Week, log: Records) -> None:
    by_day: dict[date, Records] = defaultdict(list)
    for record in log:
        if record["userId"]:
            by_day[datetime.fromtimestamp(record["ts"] / 1000, UTC).date()].append(record)
    assert min(len(by_day[day]) for day in WEEK) > 50
    in_time = {day: [each for number, each in enumerate(by_day[day]) if day not in LATE or number % 10] for day in WEEK}

    for day in WEEK:
        if day == date(2018, 11, 8):  # paused before Wednesday is computed ...
            await week.update_job(lambda client, name: client.pause_job(name=name))
        if day == date(2018, 11, 10):  # ... and resumed before Friday is
            assert await week.state.run(date(2018, 11, 7)) is None
            assert await week.state.run(date(2018, 11, 8)) is None
            await week.update_job(lambda client, name: client.resume_job(name=name))
        await week.clock.advance_to(at(day, 1, 30))
        if day not in (date(2018, 11, 8), date(2018, 11, 9)):
            await week.aggregate()
        for hour in (6, 12, 18, 23):
            until = at(day, hour, 59 if hour == 23 else 0)
            began = week.clock.now() if hour != 6 else at(day, 0)
            await week.clock.advance_to(until)
            await week.publish(between(in_time[day], began, until if hour != 23 else at(day, 0) + timedelta(days=1)))
            two_days_ago = day - timedelta(days=2)
            if hour == 12 and two_days_ago in LATE:
                await week.publish(by_day[two_days_ago][::10])
    await week.clock.advance_to(at(date(2018, 11, 12), 2))
    await week.aggregate()

    assert week.ran == [
        ("05 01:00", [4]),
        ("06 01:00", [5]),
        ("07 01:00", [6]),
        ("10 01:00", [5, 6, 7, 8, 9]),  # two missed nights, and two days with late events since
        ("11 01:00", [10]),
        ("12 01:00", [9, 11]),
    ]
    assert await week.state.late_days() == []
    for day in WEEK:
        for dimension, expected in expected_measures(by_day[day]).items():
            assert dict(await week.rollups.of_day(dimension, day)) == expected, (day, dimension)


def between(records: Records, since: datetime, until: datetime) -> Records:
    return [record for record in records if since.timestamp() <= record["ts"] / 1000 < until.timestamp()]


def expected_measures(records: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the measures of a day by dimension and value, computed independently of this project."""
    users, songs, levels = (defaultdict[str, Records](list) for _ in range(3))
    for record in records:
        users[record["userId"]].append(record)
        levels[record["level"]].append(record)
        if record["page"] == "NextSong":
            songs[record["song"]].append(record)
    seconds = {
        kind: {value: [each["length"] for each in of if each["length"] is not None] for value, of in group.items()}
        for kind, group in (("user", users), ("level", levels))
    }
    return {
        "user": {
            user: {
                "total_events": len(of),
                "unique_songs": len({each["song"] for each in of} - {None}),
                "listening_seconds": math.fsum(seconds["user"][user]),
            }
            for user, of in users.items()
        },
        "song": {
            song: {"plays": len(of), "unique_users": len({each["userId"] for each in of})} for song, of in songs.items()
        },
        "level": {
            level: {
                "total_events": len(of),
                "active_users": len({each["userId"] for each in of}),
                "listening_seconds": math.fsum(seconds["level"][level]),
            }
            for level, of in levels.items()
        },
    }
