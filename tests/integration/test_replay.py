"""Rejected events and dead letters are stored once, with the verdict for their first publish time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1.types import PubsubMessage, PushConfig

from infra.batch.dead_letters.events import replay_dead_letters
from infra.batch.replay import replay_rejected
from infra.batch.subscriber import Subscriber
from infra.provision.pubsub import open_pubsub, provision_pubsub
from infra.provision.resource_types import Subscription
from infra.provision.resources import RESOURCES
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import Message
from shared.pubsub.publisher import Publisher
from tests.support.emulators import engine
from tests.support.processes import free_port
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, message, music_event

DAY = date(2024, 1, 15)
PUBLISHED = datetime(2024, 1, 15, 12, tzinfo=UTC)


class FakePipeline:
    """Stands in for publisher, relay and function: ingests published messages at once, or drops them."""

    events_topic = "events"

    def __init__(self, bigtable: Bigtable, contract: Contract) -> None:
        self.messages: list[PubsubMessage] = []
        self.deliver = True
        self._ingestion = IngestPipeline(bigtable, contract)

    async def publish(self, topic: str, messages: list[PubsubMessage]) -> list[str]:
        assert topic == "events"
        self.messages += messages
        for published in messages if self.deliver else []:
            first = datetime.fromisoformat(published.attributes["sluice-first-published"])
            received = Message(published.data, "again", first, dict(published.attributes))
            await self._ingestion.process(received)
        return []


@pytest.fixture
def strict(tmp_path: Path) -> Contract:
    path = tmp_path / "strict.toml"
    path.write_text(MUSIC_CONTRACT.read_text().replace('"[A-Za-z0-9_-]{1,64}"', '"[A-Z]+"'))
    return load_contract(path)


@pytest.fixture
def corrected() -> Contract:
    return load_contract(MUSIC_CONTRACT)


async def ingest(bigtable: Bigtable, contract: Contract, *events: dict[str, Any]) -> None:
    ingestion = IngestPipeline(bigtable, contract)
    received = message(lines(events), published=PUBLISHED)
    await ingestion.process(received)


async def test_events_that_pass_now_are_stored_and_the_others_stay_rejected(
    bigtable: Bigtable, settings: Settings, strict: Contract, corrected: Contract
) -> None:
    await ingest(bigtable, strict, *(music_event(number) for number in range(50)), music_event(60, userId=""))
    pipeline: Any = FakePipeline(bigtable, corrected)

    replay = await replay_rejected(bigtable, pipeline, corrected)

    assert (replay.looked_at, replay.passing, replay.stored, replay.waiting) == (51, 50, 50, 0)
    assert replay.failing == {"null": 1}
    assert len(list(cells(dump(settings, "events"), "e"))) == 50
    assert len(dump(settings, "rejected")) == 1
    assert {dict(each.attributes)["sluice-first-published"] for each in pipeline.messages} == {PUBLISHED.isoformat()}
    assert len(pipeline.messages) == 1


async def test_a_dry_run_changes_nothing(
    bigtable: Bigtable, settings: Settings, strict: Contract, corrected: Contract
) -> None:
    await ingest(bigtable, strict, *(music_event(number) for number in range(5)))
    before = dump(settings, "rejected")
    pipeline: Any = FakePipeline(bigtable, corrected)

    replay = await replay_rejected(bigtable, pipeline, corrected, dry_run=True)

    assert (replay.looked_at, replay.passing, replay.published) == (5, 5, 0)
    assert (pipeline.messages, dump(settings, "rejected")) == ([], before)


async def test_day_rule_and_limit_select_events(bigtable: Bigtable, strict: Contract, corrected: Contract) -> None:
    await ingest(bigtable, strict, *(music_event(number) for number in range(5)), music_event(9, userId=""))
    pipeline: Any = FakePipeline(bigtable, corrected)

    assert (await replay_rejected(bigtable, pipeline, corrected, dry_run=True, rule="null")).looked_at == 1
    assert (await replay_rejected(bigtable, pipeline, corrected, dry_run=True, limit=2)).looked_at == 2
    assert (await replay_rejected(bigtable, pipeline, corrected, dry_run=True, day=DAY)).looked_at == 6
    assert (await replay_rejected(bigtable, pipeline, corrected, dry_run=True, day=DAY + timedelta(1))).looked_at == 0


async def test_a_repeated_replay_after_an_interrupt_loses_and_duplicates_nothing(
    bigtable: Bigtable, settings: Settings, strict: Contract, corrected: Contract
) -> None:
    await ingest(bigtable, strict, *(music_event(number) for number in range(30)))
    pipeline: Any = FakePipeline(bigtable, corrected)
    pipeline.deliver = False  # interrupted after publishing, before the function stores the events
    first = await replay_rejected(bigtable, pipeline, corrected, max_wait=0)
    assert (first.stored, first.waiting, len(dump(settings, "rejected"))) == (0, 30, 30)
    pipeline.deliver = True
    # Some of the events are stored in the meantime.
    await ingest(bigtable, corrected, *(music_event(number) for number in range(10)))

    second = await replay_rejected(bigtable, pipeline, corrected)

    assert (second.stored, second.waiting) == (30, 0)
    assert sum(each.data.count(b"\n") + 1 for each in pipeline.messages) == 30 + 20
    assert len(list(cells(dump(settings, "events"), "e"))) == 30
    assert not dump(settings, "rejected")


async def test_a_replay_leaves_a_stored_correction_alone(
    bigtable: Bigtable, settings: Settings, strict: Contract, corrected: Contract
) -> None:
    await ingest(bigtable, strict, music_event(1, duration=7), music_event(2))
    await ingest(bigtable, corrected, music_event(1, duration=8))  # sent again by its producer
    pipeline: Any = FakePipeline(bigtable, corrected)

    replay = await replay_rejected(bigtable, pipeline, corrected)

    assert (replay.stored, replay.left_alone, replay.waiting, len(dump(settings, "rejected"))) == (1, 1, 0, 1)
    durations = [json.loads(value)["duration"] for *_, value in cells(dump(settings, "events"), "e")]
    assert sorted(durations) == [8, 180.25]

    replay = await replay_rejected(bigtable, pipeline, corrected, overwrite=True)
    assert (replay.stored, replay.left_alone) == (1, 0)
    durations = [json.loads(value)["duration"] for *_, value in cells(dump(settings, "events"), "e")]
    assert sorted(durations) == [7, 180.25]


async def test_of_several_rejected_bodies_the_last_published_is_replayed(
    bigtable: Bigtable, settings: Settings, strict: Contract, corrected: Contract
) -> None:
    strict_pipeline = IngestPipeline(bigtable, strict)
    for hours, duration in ((2, 3), (0, 1), (1, 2)):
        received = message(lines([music_event(1, duration=duration)]), published=PUBLISHED + timedelta(hours=hours))
        await strict_pipeline.process(received)
    pipeline: Any = FakePipeline(bigtable, corrected)

    replay = await replay_rejected(bigtable, pipeline, corrected)

    assert (replay.stored, replay.left_alone) == (1, 2)
    [(*_, value)] = cells(dump(settings, "events"), "e")
    assert json.loads(value)["duration"] == 3


@pytest.mark.parametrize("parent", ["{}", '{"x": 1}'])
async def test_a_redelivered_event_stores_the_bytes_that_a_replay_waits_for(
    bigtable: Bigtable, corrected: Contract, strict: Contract, parent: str
) -> None:
    event = music_event(1) | {"actor": json.loads(parent)}
    await ingest(bigtable, strict, event)
    pipeline: Any = FakePipeline(bigtable, corrected)
    await ingest(bigtable, corrected, event)
    await ingest(bigtable, corrected, event)

    assert (await replay_rejected(bigtable, pipeline, corrected, max_wait=0)).stored == 1


async def test_an_event_with_newlines_is_published_in_its_own_message(
    bigtable: Bigtable, settings: Settings, strict: Contract, corrected: Contract
) -> None:
    ingestion = IngestPipeline(bigtable, strict)
    received = message(json.dumps(music_event(1), indent=2).encode(), published=PUBLISHED)
    await ingestion.process(received)
    pipeline: Any = FakePipeline(bigtable, corrected)

    assert (await replay_rejected(bigtable, pipeline, corrected)).stored == 1
    assert len(list(cells(dump(settings, "events"), "e"))) == 1


@pytest.fixture
async def dead_letters(settings: Settings) -> AsyncIterator[tuple[Publisher, Subscriber, Settings]]:
    extra = Subscription("watch", topic="events")
    provision_pubsub(settings, replace(RESOURCES, subscriptions=(*RESOURCES.subscriptions, extra)))
    async with Publisher(settings) as publisher, Subscriber(settings, "events-dead-letter-keep") as subscriber:
        yield publisher, subscriber, settings


@pytest.mark.slow
async def test_dead_letters_are_published_again_with_their_original_attributes(
    dead_letters: tuple[Publisher, Subscriber, Settings], bigtable: Bigtable, corrected: Contract
) -> None:
    publisher, subscriber, settings = dead_letters
    attributes = {"kind": "x", "CloudPubSubDeadLetterSourceTopicPublishTime": "2024-01-15T10:00:00Z"}
    letters = [PubsubMessage(data=lines([music_event(number)]), attributes=attributes) for number in range(3)]
    await publisher.publish("events-dead-letter", letters)

    dry_run = await replay_dead_letters(subscriber, publisher, bigtable, corrected, dry_run=True)
    assert (dry_run.looked_at, dry_run.passing, dry_run.published) == (3, 3, 0)
    replay = await replay_dead_letters(subscriber, publisher, bigtable, corrected)
    assert (replay.looked_at, replay.published) == (3, 3)

    async with Subscriber(settings, "watch") as watch:
        again = await watch.pull(10)
    assert sorted(each.message.data for each in again) == sorted(each.data for each in letters)
    assert dict(again[0].message.attributes) == {"kind": "x", "sluice-first-published": "2024-01-15T10:00:00Z"}
    assert (await replay_dead_letters(subscriber, publisher, bigtable, corrected)).looked_at == 0


async def test_an_invalid_attribute_of_a_dead_letter_stops_no_other(
    dead_letters: tuple[Publisher, Subscriber, Settings], bigtable: Bigtable, corrected: Contract
) -> None:
    publisher, subscriber, settings = dead_letters
    times = ["yesterday", "", "1969-01-01T00:00:00Z", "2024-01-15T10:00:00Z"]
    letters = [
        PubsubMessage(data=lines([music_event(number)]), attributes={"sluice-first-published": time, "n": str(number)})
        for number, time in enumerate(times)
    ]
    await publisher.publish("events-dead-letter", letters)

    replay = await replay_dead_letters(subscriber, publisher, bigtable, corrected)

    assert (replay.looked_at, replay.published) == (4, 4)
    async with Subscriber(settings, "watch") as watch:
        again = await watch.pull(10)
    found = {each.message.attributes["n"]: each.message.attributes["sluice-first-published"] for each in again}
    assert found["3"] == times[3]
    assert all(datetime.fromisoformat(found[number]).year >= 2024 for number in ("0", "1", "2"))


async def test_a_dead_letter_leaves_a_stored_correction_alone(
    dead_letters: tuple[Publisher, Subscriber, Settings], bigtable: Bigtable, corrected: Contract
) -> None:
    publisher, subscriber, settings = dead_letters
    await ingest(bigtable, corrected, music_event(1, duration=8))
    letter = PubsubMessage(data=lines([music_event(1, duration=7), music_event(2)]))
    await publisher.publish("events-dead-letter", [letter])

    replay = await replay_dead_letters(subscriber, publisher, bigtable, corrected)

    assert (replay.looked_at, replay.left_alone, replay.published) == (1, 1, 1)
    async with Subscriber(settings, "watch") as watch:
        [again] = await watch.pull(10)
    assert json.loads(again.message.data)["event_id"] == "evt-000002"


@contextmanager
def running_pipeline(settings: Settings, contract: Path) -> Iterator[dict[str, str]]:
    """Run the function with a contract, and its delivery; yield the environment."""
    import os
    import sys

    from infra.local.ports import accepts
    from infra.local.supervisor import Supervisor
    from tests.support.samples import ROOT

    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": str(settings.bigtable_emulator),
        "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator),
        "SLUICE_CONTRACT": str(contract),
    }
    framework = Path(sys.executable).with_name("functions-framework")
    source = ROOT / "functions" / "ingest" / "main.py"
    with Supervisor() as supervisor:
        supervisor.start(
            "ingest",
            [framework, "--target", "ingest", "--source", source, "--port", str(port)],
            env=environment,
            wave=1,
        )
        supervisor.wait_until(lambda: accepts(port), "the function doesn't answer")
        if engine() == "google":
            route = f"--route=events-ingest=http://127.0.0.1:{port}/"
            relay = [sys.executable, "-m", "infra.local.relay", "--project", settings.project_id, route]
            supervisor.start("relay", relay, env=environment, cwd=ROOT, wave=2)
        else:
            with open_pubsub(settings, RESOURCES) as pubsub:
                name = f"projects/{settings.project_id}/subscriptions/events-ingest"
                push = PushConfig(push_endpoint=f"http://127.0.0.1:{port}/")
                pubsub.subscriber.modify_push_config(subscription=name, push_config=push)
        yield environment


@pytest.mark.slow
def test_events_rejected_by_a_contract_are_replayed_after_its_correction(
    settings: Settings, strict: Contract, corrected: Contract
) -> None:
    """A contract rejects 1,000 events; after its correction and a replay, the aggregates of the day are right."""
    import subprocess
    import sys
    import time

    sluice = Path(sys.executable).with_name("sluice")
    backoff = timedelta(milliseconds=100), timedelta(seconds=10)
    provision_pubsub(settings, RESOURCES.with_fast_redelivery(backoff=backoff, ack_deadline=timedelta(seconds=10)))

    def run(environment: dict[str, str], *arguments: str, stdin: bytes | None = None) -> Any:
        command = [str(sluice), *arguments, "--json"]
        result = subprocess.run(command, env=environment, input=stdin, capture_output=True, check=True, timeout=90)
        return json.loads(result.stdout)

    with running_pipeline(settings, Path(strict.path)) as environment:
        data = lines(music_event(number) for number in range(1_000))
        assert run(environment, "publish", "--source", "-", stdin=data)["published"] == 1_000
        deadline = time.monotonic() + 30
        while len(dump(settings, "rejected")) < 1_000:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    with running_pipeline(settings, MUSIC_CONTRACT) as environment:
        dry_run = run(environment, "replay", "rejected", "--dry-run")
        assert (dry_run["looked_at"], dry_run["passing"], dry_run["failing"]) == (1_000, 1_000, {})
        replayed = run(environment, "replay", "rejected", "--rule", "pattern")
        assert (replayed["stored"], replayed["waiting"], replayed["failing"]) == (1_000, 0, {})
        assert run(environment, "replay", "rejected")["looked_at"] == 0
        [summary] = run(environment, "aggregate", "--date", "2024-01-15")
        assert (summary["events"], summary["rejected"]) == (1_000, 0)
    assert not dump(settings, "rejected")
