"""Requests of `load` that became dead letters are replayed, and their objects are loaded exactly once."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.pubsub_v1.types import PubsubMessage, Subscription, UpdateSubscriptionRequest
from msgspec.structs import replace

from infra.batch.dead_letters.load_letter import LoadLetter
from infra.batch.dead_letters.loads import LoadReplay, replay_loads
from infra.batch.load import load_files
from infra.batch.subscriber import Subscriber
from infra.cli.main import main
from infra.doctor.drift import find_drift
from infra.provision.pubsub import open_pubsub, provision_pubsub
from infra.provision.resources import RESOURCES
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.load.fan_out import request_ranges
from shared.load.objects import StorageObjects
from shared.load.pipeline import LoadPipeline
from shared.pubsub.load_requests import TOPIC, ObjectVersion, notification, range_request
from shared.pubsub.message import Message
from shared.pubsub.publisher import Publisher
from shared.sources.files import SourceReader
from shared.tables.loads import LoadsTable
from tests.support.samples import MUSIC_CONTRACT, dump, lines, music_event
from tests.support.storage import Bucket

CONTRACT = load_contract(MUSIC_CONTRACT)
EVENTS = lines(map(music_event, range(1, 401))) + b"\n"
RUN, DEAD_LETTERS, KEPT = f"{TOPIC}-run", f"{TOPIC}-dead-letter", f"{TOPIC}-dead-letter-keep"
ATTEMPTS = 5  # the minimum of Pub/Sub
RANGES = 3  # of the object with these events
MALFORMED = {"eventType": "OBJECT_FINALIZE", "bucketId": "drop", "objectId": "a.csv", "objectGeneration": "new"}
ERROR = "objectGeneration: found 'new', expected an integer from 1 on"


@pytest.fixture
def event_file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(EVENTS)
    return path


class Loads:
    """The topics and subscriptions of `load`, and the function itself, which runs in this process.

    Attributes:
        letters: the dead letters of the last replay.
    """

    def __init__(self, settings: Settings, bigtable: Bigtable, publisher: Publisher) -> None:
        self._settings, self._publisher, self._table = settings, publisher, LoadsTable(bigtable)
        self._pipeline = LoadPipeline(
            bigtable,
            CONTRACT,
            StorageObjects(settings),
            lambda object, starts: request_ranges(settings, object, starts),
            ingestion=IngestPipeline(bigtable, CONTRACT),
            deadline=60.0,
            range_bytes=20_000,
        )
        self.letters: list[LoadLetter] = []

    async def publish(self, topic: str, *attributes: dict[str, str]) -> None:
        await self._publisher.publish(topic, [PubsubMessage(data=b"{}", attributes=each) for each in attributes])

    async def deliver(self, count: int | None = None, *, down: bool = False) -> int:
        """Deliver waiting messages to the function, until there are none; return the number of deliveries.

        Args:
            count: the number of deliveries after which this ends.
            down: whether the function fails every delivery, as without a role.
        """
        delivered = 0
        async with Subscriber(self._settings, RUN) as run:
            while delivered != count and (batch := await run.pull(100)):
                delivered += len(batch)
                ids = [each.ack_id for each in batch]
                if down:
                    await run.nack(ids)
                    continue
                for each in batch:
                    await self._pipeline.process(_received(each.message))
                await run.acknowledge(ids)
        return delivered

    async def replay(self, **options: Any) -> LoadReplay:
        self.letters.clear()
        async with Subscriber(self._settings, KEPT) as kept:
            return await replay_loads(kept, self._publisher, self._table, TOPIC, report=self.letters.append, **options)

    @property
    def statuses(self) -> list[str]:
        return sorted(letter.status for letter in self.letters)


def _received(message: PubsubMessage) -> Message:
    return Message(message.data, message.message_id, message.publish_time, dict(message.attributes))


@pytest.fixture
async def loads(settings: Settings, bigtable: Bigtable, storage: str) -> AsyncIterator[Loads]:
    zero = timedelta(0)
    resources = RESOURCES.with_loads().with_fast_redelivery(
        backoff=(zero, zero), ack_deadline=timedelta(seconds=60), attempts=ATTEMPTS
    )
    provision_pubsub(settings, resources)
    async with Publisher(settings) as publisher:
        yield Loads(replace(settings, storage_emulator=storage), bigtable, publisher)


async def ingested(settings: Settings, path: Path) -> Any:
    """Return the events after one undisturbed `ingest` of a file."""
    bigtable = Bigtable(settings)
    await load_files(SourceReader([path]), bigtable, CONTRACT)
    await bigtable.close()
    return dump(settings, "events")


@pytest.mark.slow
async def test_a_dead_lettered_request_is_replayed_and_its_object_loaded_exactly_once(
    loads: Loads, bucket: Bucket, settings: Settings, other_settings: Settings, event_file: Path
) -> None:
    object = bucket.upload("day 1/events.jsonl", EVENTS)
    await loads.publish(TOPIC, notification(object))
    await loads.deliver(ATTEMPTS, down=True)

    for _ in range(2):  # a dry run changes nothing, so the second one finds the same
        dry_run = await loads.replay(limit=1, dry_run=True)
        assert (dry_run.looked_at, dry_run.published, loads.statuses) == (1, 0, ["not_begun"])
    assert loads.letters[0].line() == f"{object.uri}, generation {object.generation}: the load has not begun"

    assert (await loads.replay()).published == 1
    assert (await loads.replay()).looked_at == 0
    assert await loads.deliver() == 1 + RANGES
    stored = dump(settings, "events")
    assert stored == await ingested(other_settings, event_file)

    await loads.publish(DEAD_LETTERS, notification(object), range_request(object, 0))
    assert ((await loads.replay(limit=2)).published, loads.statuses) == (2, ["finished", "finished"])
    await loads.deliver(2)
    assert dump(settings, "events") == stored


async def test_a_range_is_shown_with_its_end_and_what_is_done(loads: Loads, bucket: Bucket) -> None:
    object = bucket.upload("events.jsonl", EVENTS)
    await loads.publish(TOPIC, notification(object))
    await loads.deliver(1)
    await loads.deliver(RANGES * ATTEMPTS, down=True)

    await loads.replay(limit=RANGES, dry_run=True)

    [state, *_] = [letter.state for letter in loads.letters]
    assert state is not None
    starts = state.load.starts
    prefix = f"{object.uri}, generation {object.generation}, from byte"
    assert sorted(letter.line() for letter in loads.letters) == sorted(
        f"{prefix} {start} to {end}: 0 of {RANGES} ranges are done"
        for start, end in zip(starts, [*starts[1:], len(EVENTS)], strict=True)
    )
    assert (await loads.replay(limit=1)).published == 1
    await loads.deliver(1)
    await loads.publish(DEAD_LETTERS, dict(range_request(object, loads.letters[0].request.start)))
    await loads.replay(limit=RANGES, dry_run=True)
    done = f"1 of {RANGES} ranges are done"
    ends = sorted(letter.line().partition(": ")[2] for letter in loads.letters)
    assert ends == [*[done] * (RANGES - 1), f"{done}, also this one"]


async def test_a_dead_letter_that_requests_no_object_stays_and_stops_no_other(loads: Loads) -> None:
    object = ObjectVersion("drop", "gone.csv", 7)
    await loads.publish(DEAD_LETTERS, MALFORMED, notification(object), {"kind": "other"})

    replay = await loads.replay(limit=3)

    assert (replay.looked_at, replay.invalid, replay.published) == (3, 2, 1)
    [other, malformed] = sorted(letter.line().partition(" stays: ")[2] for letter in loads.letters if letter.problem)
    assert other == (
        "found a message with the data b'{}' and the attributes ['kind'], "
        "expected a notification of Cloud Storage with the attribute eventType"
    )
    assert malformed == ERROR
    assert ((await loads.replay()).looked_at, loads.statuses) == (2, ["invalid", "invalid"])


async def test_a_replay_looks_at_no_more_messages_than_its_limit(loads: Loads) -> None:
    await loads.publish(DEAD_LETTERS, *(notification(ObjectVersion("drop", f"{n}.csv", 7)) for n in range(5)))

    assert (await loads.replay(limit=2, dry_run=True)).looked_at == 2
    assert (await loads.replay(limit=2)).published == 2
    assert (await loads.replay()).published == 3


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def sluice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run the command in this process."""
    monkeypatch.setenv("GCP_PROJECT_ID", settings.project_id)
    monkeypatch.setenv("BIGTABLE_INSTANCE", settings.instance_id)
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", str(settings.bigtable_emulator))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", str(settings.pubsub_emulator))

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return run


def publish_letters(settings: Settings, *attributes: dict[str, str]) -> None:
    provision_pubsub(settings, RESOURCES.with_loads())
    with open_pubsub(settings, RESOURCES) as pubsub:
        topic = f"projects/{settings.project_id}/topics/{DEAD_LETTERS}"
        pubsub.publisher.publish(
            topic=topic, messages=[PubsubMessage(data=b"{}", attributes=each) for each in attributes]
        )


def test_the_command_shows_each_object_before_it_is_requested_again(
    settings: Settings, sluice: Callable[..., Result]
) -> None:
    publish_letters(settings, range_request(ObjectVersion("drop", "a\x1b[2J.csv", 7), 100), MALFORMED)

    shown = sluice("replay", "loads", "--dry-run", "--limit", "2")
    as_json = json.loads(sluice("replay", "loads", "--dry-run", "--limit", "2", "--json").out)
    replayed = sluice("replay", "loads")

    line = r"gs://drop/a\x1b[2J.csv, generation 7, from byte 100: the load has not begun"
    assert shown.out.splitlines() == [line, "2 dead letters looked at", "nothing was changed"]
    [problem, count] = shown.err.splitlines()
    assert re.fullmatch(rf"message \d+ stays: {re.escape(ERROR)}", problem)
    assert count == "1 dead letters request no object and stay"
    counts = {name: as_json[name] for name in ("looked_at", "invalid", "published_messages")}
    assert counts == {"looked_at": 2, "invalid": 1, "published_messages": 0}
    [invalid, valid] = sorted(as_json["messages"], key=lambda each: each["status"])
    assert (invalid["status"], invalid["object"], invalid["error"]) == ("invalid", None, ERROR)
    assert {name: valid[name] for name in valid if name != "message"} == {
        "bucket": "drop",
        "object": "a\x1b[2J.csv",
        "generation": 7,
        "start": 100,
        "end": None,
        "status": "not_begun",
        "error": "",
    }
    assert replayed.out.splitlines() == [line, "2 dead letters looked at", "1 messages published"]
    assert (shown.code, replayed.code) == (0, 0)


def test_a_project_without_the_subscription_is_an_error(settings: Settings, sluice: Callable[..., Result]) -> None:
    result = sluice("replay", "loads")

    assert result.code == 1
    assert f"subscriptions/{KEPT}: found none, expected it to exist" in result.err


def test_the_doctor_reports_manual_changes_of_the_subscriptions(settings: Settings) -> None:
    resources = RESOURCES.with_loads()
    provision_pubsub(settings, resources)
    for name in (RUN, KEPT):
        full_name = f"projects/{settings.project_id}/subscriptions/{name}"
        with open_pubsub(settings, resources) as pubsub:
            pubsub.subscriber.update_subscription(
                request=UpdateSubscriptionRequest(
                    subscription=Subscription(name=full_name, ack_deadline_seconds=20),
                    update_mask={"paths": ["ack_deadline_seconds"]},
                )
            )

    problems = [result for result in find_drift(settings, resources) if result.what.startswith("subscription ")]

    assert [(each.what, each.text.partition(";")[0]) for each in problems] == [
        (f"subscription {name}", "ack deadline: 20 s → 600 s") for name in (RUN, KEPT)
    ]
