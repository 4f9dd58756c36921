"""Replays publish only messages within the limit, and report the events that fit into none."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

from infra.batch import replay as replay_module
from infra.batch.dead_letters import events as dead_letters_module
from infra.batch.dead_letters.events import replay_dead_letters
from infra.batch.replay import Replay, messages_of, replay_rejected
from infra.cli.data.replay import _print_replay
from shared.pubsub.message import MAX_PACKED_BYTES, Message, unpack
from shared.tables.rejected import RejectedEvent
from shared.validation.results import Accepted
from tests.support.small_messages import PUBLISHED, small_contract, small_event

CONTRACT = small_contract('[fields.text]\ntype = "string"\nrequired = false\n')
TIME = PUBLISHED.isoformat()


def event(id_: str, text: str = "") -> bytes:
    return msgspec.json.encode(small_event(id=id_, text=text))


SMALL, COMPRESSIBLE = event("small"), event("compressible", "x" * 900_000)
INCOMPRESSIBLE = event("incompressible", os.urandom(MAX_PACKED_BYTES).hex())


class FakePublisher:
    """Records the messages of each call."""

    events_topic = "events"

    def __init__(self) -> None:
        self.calls: list[list[PubsubMessage]] = []

    @property
    def messages(self) -> list[PubsubMessage]:
        return [message for call in self.calls for message in call]

    @property
    def events(self) -> list[bytes]:
        received = (Message(each.data, "1", PUBLISHED, dict(each.attributes)) for each in self.messages)
        return sorted(raw for message in received for raw in unpack(message))

    async def publish(self, topic: str, messages: list[PubsubMessage]) -> None:
        self.calls.append(list(messages))


class FakeSubscriber:
    """Delivers each message once."""

    def __init__(self, *messages: PubsubMessage) -> None:
        for message in messages:
            message.publish_time = PUBLISHED  # type: ignore[assignment] - proto-plus converts it
        self.waiting = [ReceivedMessage(ack_id=str(number), message=message) for number, message in enumerate(messages)]
        self.acknowledged: list[str] = []
        self.returned: list[str] = []

    async def pull(self, most: int) -> list[ReceivedMessage]:
        batch, self.waiting = self.waiting[:most], self.waiting[most:]
        return batch

    async def acknowledge(self, ids: list[str]) -> None:
        self.acknowledged += ids

    async def nack(self, ids: list[str]) -> None:
        self.returned += ids


class FakeBigtable:
    """Records the number of deleted rows."""

    def __init__(self) -> None:
        self.deleted = 0

    async def write(self, table: str, mutations: Any) -> None:
        self.deleted += len(list(mutations.entries()))


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> FakePublisher:
    """A publisher whose events are stored as soon as they are published."""
    publisher = FakePublisher()

    async def stored_events(_bigtable: object, events: list[Accepted]) -> dict[tuple[bytes, bytes], bytes]:
        published = [msgspec.json.decode(raw)["id"].encode() for raw in publisher.events]
        return {each.cell_key[:2]: each.value for each in events if each.cell_key.qualifier[12:] in published}

    monkeypatch.setattr(replay_module, "stored_events", stored_events)
    monkeypatch.setattr(dead_letters_module, "stored_events", stored_events)
    return publisher


@pytest.fixture
def rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rejected events that pass the contract now, one of them too large for every message."""

    class FakeRejectedTable:
        def __init__(self, _bigtable: object) -> None:
            pass

        async def of_day(self, _day: object, *, rule: str | None) -> AsyncIterator[RejectedEvent]:
            for raw in (SMALL, COMPRESSIBLE, INCOMPRESSIBLE):
                yield RejectedEvent(raw[:20], raw, [], "1", TIME)

    monkeypatch.setattr(replay_module, "RejectedTable", FakeRejectedTable)


def test_large_events_are_compressed_alone_and_too_large_ones_are_returned() -> None:
    messages, too_large = messages_of((raw, TIME) for raw in (SMALL, COMPRESSIBLE, INCOMPRESSIBLE, SMALL))

    assert too_large == [INCOMPRESSIBLE]
    assert all(len(each.data) <= MAX_PACKED_BYTES for each in messages)
    assert sorted(gzip.decompress(each.data) if each.data[:1] == b"\x1f" else each.data for each in messages) == sorted(
        [SMALL, COMPRESSIBLE, SMALL]
    )
    assert {each.attributes["sluice-first-published"] for each in messages} == {TIME}


def test_a_large_event_with_newlines_is_compressed_too() -> None:
    raw = COMPRESSIBLE.replace(b",", b",\n")

    [message], too_large = messages_of([(raw, TIME)])

    assert (gzip.decompress(message.data), too_large) == (raw, [])
    assert unpack(Message(message.data, "1", PUBLISHED, dict(message.attributes))) == [raw]


async def test_a_too_large_rejected_event_stays_and_is_counted(publisher: Any, rejected: None) -> None:
    bigtable: Any = FakeBigtable()

    replay = await replay_rejected(bigtable, publisher, CONTRACT, max_wait=30)

    assert publisher.events == sorted([SMALL, COMPRESSIBLE])
    assert all(len(each.data) <= MAX_PACKED_BYTES for each in publisher.messages)
    assert (replay.passing, replay.stored, replay.waiting) == (3, 2, 0)
    assert (replay.too_large, replay.largest_bytes, bigtable.deleted) == (1, len(INCOMPRESSIBLE), 2)


async def test_a_dry_run_counts_too_large_events(publisher: Any, rejected: None) -> None:
    bigtable: Any = FakeBigtable()

    replay = await replay_rejected(bigtable, publisher, CONTRACT, dry_run=True)

    assert (replay.too_large, replay.published, publisher.calls, bigtable.deleted) == (1, 0, [], 0)


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_dead_letter_with_a_too_large_event_is_not_acknowledged(publisher: Any, overwrite: bool) -> None:
    bigtable: Any = FakeBigtable()
    zipped = [event(str(number), os.urandom(100_000).hex()) for number in range(3)]
    subscriber: Any = FakeSubscriber(
        PubsubMessage(data=SMALL, attributes={"kind": "x"}),
        PubsubMessage(data=b"\n".join([event("other"), INCOMPRESSIBLE])),
        PubsubMessage(data=COMPRESSIBLE, attributes={"kind": "y"}),
        PubsubMessage(data=gzip.compress(INCOMPRESSIBLE)),
        PubsubMessage(data=gzip.compress(INCOMPRESSIBLE)[:-100]),
        PubsubMessage(data=gzip.compress(b"\n".join(zipped))),
    )

    replay = await replay_dead_letters(subscriber, publisher, bigtable, CONTRACT, overwrite=overwrite)

    assert publisher.events == sorted([SMALL, event("other"), COMPRESSIBLE, *zipped])
    assert all(len(each.data) <= MAX_PACKED_BYTES for each in publisher.messages)
    assert [each.attributes["kind"] for each in publisher.messages if "kind" in each.attributes] == ["x", "y"]
    assert (subscriber.acknowledged, subscriber.returned) == (["0", "2", "5"], ["1", "3", "4"])
    assert (replay.published, replay.too_large) == (6, 3)


async def test_a_call_has_at_most_four_mebibytes(publisher: Any) -> None:
    """100 messages of the largest size would exceed the 10 MB of a request."""
    bigtable: Any = FakeBigtable()
    letters = [PubsubMessage(data=event(str(number), "x" * 250_000)) for number in range(40)]
    subscriber: Any = FakeSubscriber(*letters)

    replay = await replay_dead_letters(subscriber, publisher, bigtable, CONTRACT)

    assert (replay.published, len(publisher.messages)) == (40, 40)
    assert max(sum(len(each.data) for each in call) for call in publisher.calls) <= 4 * 1024 * 1024


async def test_too_large_events_are_printed_with_size_and_limit(
    publisher: Any, rejected: None, capsys: pytest.CaptureFixture[str]
) -> None:
    bigtable: Any = FakeBigtable()
    replay = await replay_rejected(bigtable, publisher, CONTRACT)

    _print_replay(replay, "rejected events", dry_run=False, as_json=False)
    assert (
        f"1 events are too large to publish and stay: the largest has {len(INCOMPRESSIBLE):,} bytes, expected at most "
        "262,144 after compression\n"
    ) in capsys.readouterr().err
    _print_replay(replay, "rejected events", dry_run=False, as_json=True)
    assert msgspec.json.decode(capsys.readouterr().out)["too_large"] == 1


def test_the_lines_name_what_stays_as_problems() -> None:
    replay = Replay(looked_at=1_234, passing=1_000, stored=900, published=10, waiting=7, left_alone=5, too_large=1)
    replay.failing.update({"type": 34, "range": 200})
    replay.largest_bytes = 9_000_000

    counts = [
        ("1,234 rejected events looked at: 1,000 events pass the contract now", False),
        ("  200 events still break range", False),
        ("  34 events still break type", False),
        ("5 events left alone: another body is stored, or was published later", False),
        (
            "1 events are too large to publish and stay: the largest has 9,000,000 bytes, "
            f"expected at most {MAX_PACKED_BYTES:,} after compression",
            True,
        ),
    ]
    assert list(replay.lines("rejected events", dry_run=True)) == [*counts, ("nothing was changed", False)]
    assert list(replay.lines("rejected events", dry_run=False)) == [
        *counts,
        ("10 messages published", False),
        ("900 events are stored and were deleted from rejected", False),
        ("7 events are not stored yet; repeat the replay to delete them later", True),
    ]
