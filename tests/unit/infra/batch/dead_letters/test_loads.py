"""A replay of load requests acknowledges only what it has published, and publishes the original messages."""

from __future__ import annotations

from typing import Any

import pytest
from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

from infra.batch.dead_letters.loads import LoadReplay, replay_loads
from shared.errors import StoreUnavailableError
from shared.pubsub.load_requests import ObjectVersion, notification

SOURCE = {"CloudPubSubDeadLetterSourceSubscription": "loads-run"}


class FakePubSub:
    """A publisher and a subscriber that record what happens, in order."""

    def __init__(self, *letters: PubsubMessage) -> None:
        self.waiting = [ReceivedMessage(ack_id=str(number), message=each) for number, each in enumerate(letters)]
        self.pulled: list[int] = []
        self.calls: list[tuple[str, Any]] = []
        self.published: list[PubsubMessage] = []
        self.refuses = False

    async def pull(self, most: int) -> list[ReceivedMessage]:
        self.pulled.append(most)
        batch, self.waiting = self.waiting[:most], self.waiting[most:]
        return batch

    async def publish(self, topic: str, messages: list[PubsubMessage]) -> None:
        if self.refuses:
            raise StoreUnavailableError("no answer")
        self.calls.append((f"publish {topic}", len(messages)))
        self.published += messages

    async def acknowledge(self, ids: list[str]) -> None:
        self.calls.append(("acknowledge", ids))

    async def nack(self, ids: list[str]) -> None:
        self.calls.append(("nack", ids))


class FakeLoads:
    """Finds no state, and counts the reads."""

    def __init__(self) -> None:
        self.found: list[ObjectVersion] = []

    async def find(self, object: ObjectVersion) -> None:
        self.found.append(object)


def request(number: int, **more: str) -> PubsubMessage:
    attributes = notification(ObjectVersion("drop", f"{number}.csv", 7)) | SOURCE | more
    return PubsubMessage(data=b'{"kind": "storage#object"}', attributes=attributes, ordering_key=f"key {number}")


INVALID = PubsubMessage(data=b"x")


async def replay(pubsub: FakePubSub, loads: FakeLoads | None = None, **options: Any) -> LoadReplay:
    fake: Any = pubsub
    table: Any = loads or FakeLoads()
    return await replay_loads(fake, fake, table, "shop-loads", **options)


async def test_the_original_messages_are_published_and_then_acknowledged() -> None:
    pubsub = FakePubSub(request(1), INVALID, request(2))

    counts = await replay(pubsub)

    assert (counts.looked_at, counts.invalid, counts.published) == (3, 1, 2)
    assert pubsub.calls == [("publish shop-loads", 2), ("acknowledge", ["0", "2"]), ("nack", ["1"])]
    assert [dict(each.attributes) for each in pubsub.published] == [
        notification(ObjectVersion("drop", f"{number}.csv", 7)) for number in (1, 2)
    ]
    assert {(each.data, each.ordering_key) for each in pubsub.published} == {
        (b'{"kind": "storage#object"}', f"key {number}") for number in (1, 2)
    }


async def test_a_dry_run_reports_and_returns_every_message() -> None:
    pubsub, reported = FakePubSub(request(1), INVALID), list[str]()

    counts = await replay(pubsub, dry_run=True, report=lambda letter: reported.append(letter.status))

    assert reported == ["not_begun", "invalid"]
    assert pubsub.calls == [("nack", ["0", "1"])]
    assert list(counts.lines(dry_run=True)) == [
        ("2 dead letters looked at", False),
        ("1 dead letters request no object and stay", True),
        ("nothing was changed", False),
    ]


async def test_invalid_messages_alone_publish_and_acknowledge_nothing() -> None:
    pubsub = FakePubSub(INVALID)

    await replay(pubsub)

    assert pubsub.calls == [("nack", ["0"])]


async def test_messages_that_cannot_be_published_are_not_acknowledged() -> None:
    pubsub = FakePubSub(request(1))
    pubsub.refuses = True

    with pytest.raises(StoreUnavailableError):
        await replay(pubsub)

    assert pubsub.calls == []


async def test_messages_are_pulled_in_batches_up_to_the_limit() -> None:
    pubsub = FakePubSub(*(request(number) for number in range(200)))

    counts = await replay(pubsub, limit=130)

    assert (counts.looked_at, counts.published, pubsub.pulled) == (130, 130, [100, 30])


async def test_the_state_of_an_object_is_read_once_for_all_its_ranges() -> None:
    pubsub, loads = FakePubSub(*(request(1, rangeStart=str(number)) for number in range(5))), FakeLoads()

    await replay(pubsub, loads)

    assert loads.found == [ObjectVersion("drop", "1.csv", 7)]
