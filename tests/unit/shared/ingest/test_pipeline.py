"""Messages that come at one moment are taken in together, and each is answered for itself."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud.bigtable_v2.types import MutateRowsRequest
from grpc import StatusCode

from shared.bigtable.batcher import Batcher, BatchLimits
from shared.bigtable.client import Bigtable
from shared.bigtable.mutations import Entry
from shared.bigtable.transport import CallError
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import OverloadedError, StoreRefusedError, StoreUnavailableError
from shared.ingest.micro_batch import is_small
from shared.ingest.pipeline import IngestPipeline
from shared.validation.results import Rejected
from tests.support.samples import MUSIC_CONTRACT, lines, message, music_event

MUSIC = load_contract(MUSIC_CONTRACT)
PUBLISHED = datetime(2024, 1, 15, 12, tzinfo=UTC)


class Tables:
    """Stands for the tables: remembers what was sent and kept apart, refuses rows and holds them up as a test says."""

    def __init__(self, ingestion: IngestPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[str]] = []
        self.kept: list[tuple[str, int]] = []
        self.refused: set[str] = set()
        self.held: set[str] = set()
        self.open = asyncio.Event()
        self.error: Exception | None = None
        batcher = Batcher(self.send, "table events", deadline=60, limits=BatchLimits(pending_bytes=1_000))
        monkeypatch.setattr(ingestion._events._bigtable, "_batcher", lambda _table: batcher)
        monkeypatch.setattr(ingestion._rejected, "store", self.keep)
        monkeypatch.setattr(ingestion._state, "verify_layout", self.nothing)
        monkeypatch.setattr(ingestion._state, "mark_late", self.nothing)

    @property
    def stored(self) -> list[str]:
        return sorted(id_ for call in self.calls for id_ in call if id_ not in self.refused)

    async def nothing(self, _what: Any) -> None:
        await asyncio.sleep(0)

    async def send(self, entries: Sequence[Entry], timeout: float) -> list[Exception | None]:
        of_entries = [ids_in(entry) for entry in entries]
        ids = [id_ for each in of_entries for id_ in each]
        if self.held & set(ids):
            await self.open.wait()
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.calls.append(ids)
        refused = CallError(StatusCode.INVALID_ARGUMENT, "an invalid row")
        return [refused if self.refused.intersection(each) else None for each in of_entries]

    async def keep(self, rejected: list[Rejected], published: datetime, source: str) -> None:
        self.kept.append((source, len(rejected)))


def ids_in(entry: Entry) -> list[str]:
    [read] = MutateRowsRequest.deserialize(entry.wire).entries
    return [mutation.set_cell.column_qualifier[12:].decode() for mutation in read.mutations]


@pytest.fixture
def ingestion() -> IngestPipeline:
    return IngestPipeline(Bigtable(Settings("project", "instance")), MUSIC)


@pytest.fixture
def tables(ingestion: IngestPipeline, monkeypatch: pytest.MonkeyPatch) -> Tables:
    return Tables(ingestion, monkeypatch)


def of(*events: dict[str, Any], message_id: str = "1") -> Any:
    return message(lines(events), message_id=message_id, published=PUBLISHED)


async def take(ingestion: IngestPipeline, *messages: Any) -> list[type]:
    outcomes = await asyncio.gather(*map(ingestion.process, messages), return_exceptions=True)
    return [type(outcome) for outcome in outcomes]


async def test_events_of_several_messages_go_in_one_call(ingestion: IngestPipeline, tables: Tables) -> None:
    outcomes = await take(ingestion, of(music_event(1)), of(music_event(2), music_event(3)), of(music_event(4)))

    assert outcomes == [type(None)] * 3
    assert len(tables.calls) == 1
    assert tables.stored == ["evt-000001", "evt-000002", "evt-000003", "evt-000004"]
    assert ingestion.counts == {"stored": 4, "messages": 3}


async def test_a_bad_event_is_kept_with_its_own_message(ingestion: IngestPipeline, tables: Tables) -> None:
    bad = of(music_event(2), music_event(3, userId=""), message_id="77")

    outcomes = await take(ingestion, of(music_event(1)), bad, of(music_event(4)))

    assert outcomes == [type(None)] * 3
    assert tables.stored == ["evt-000001", "evt-000002", "evt-000004"]
    assert tables.kept == [("77", 1)]
    assert ingestion.counts == {"stored": 3, "rejected": 1, "null": 1, "messages": 3}


async def test_each_event_is_judged_by_its_own_publication(ingestion: IngestPipeline, tables: Tables) -> None:
    event = music_event(1, timestamp="2024-01-15T12:00:00Z")
    early = message(lines([event]), message_id="early", published=datetime(2024, 1, 15, 11, tzinfo=UTC))

    await take(ingestion, of(music_event(2)), early, of(event, message_id="late"))

    assert tables.kept == [("early", 1)]  # an hour in the future of that message
    assert tables.stored == ["evt-000001", "evt-000002"]


async def test_of_what_bigtable_refuses_only_the_guilty_message_fails(
    ingestion: IngestPipeline, tables: Tables
) -> None:
    tables.refused = {"evt-000002"}

    outcomes = await take(ingestion, of(music_event(1)), of(music_event(2)), of(music_event(3)))

    assert outcomes == [type(None), StoreRefusedError, type(None)]
    assert tables.stored == ["evt-000001", "evt-000003"]


async def test_what_is_slow_holds_up_nobody_who_comes_later(ingestion: IngestPipeline, tables: Tables) -> None:
    tables.held = {"evt-000001"}
    slow = asyncio.create_task(ingestion.process(of(music_event(1))))
    await asyncio.sleep(0.01)

    await ingestion.process(of(music_event(2)))

    assert not slow.done()
    tables.open.set()
    await slow


async def test_what_goes_wrong_is_told_to_every_message(ingestion: IngestPipeline, tables: Tables) -> None:
    tables.error = StoreUnavailableError("not acknowledged within 60 s")

    outcomes = await take(ingestion, of(music_event(1)), of(music_event(2)))

    assert outcomes == [StoreUnavailableError] * 2
    assert ingestion.counts == {}


async def test_an_event_and_its_warning_are_stored_together(ingestion: IngestPipeline, tables: Tables) -> None:
    tables.refused = {"evt-000003"}
    warned = of(music_event(1, duration=-1))

    outcomes = await take(ingestion, warned, of(music_event(2)), of(music_event(3)))

    assert outcomes == [type(None), type(None), StoreRefusedError]
    assert tables.stored == ["evt-000001", "evt-000001", "evt-000002"]


async def test_who_finds_no_room_is_told_and_the_others_are_stored(ingestion: IngestPipeline, tables: Tables) -> None:
    large = of(music_event(2, pad="x" * 2_000))

    outcomes = await take(ingestion, of(music_event(1)), large, of(music_event(3)))

    assert outcomes == [type(None), OverloadedError, type(None)]
    assert tables.stored == ["evt-000001", "evt-000003"]


@pytest.mark.parametrize(
    ("data", "small"),
    [
        (b'{"event_id": "1"}', True),
        (b'{"a": 1}\n{"a": 2}', True),
        (b"{}" + b" " * 5_000, False),
        (b"{}\n" * 20, False),
        (b"[" + b"{}," * 1_000 + b"{}]", False),
        (gzip.compress(b"{}\n" * 1_000), False),
        (b"", False),
    ],
)
def test_what_may_hold_many_events_is_taken_in_alone(data: bytes, small: bool) -> None:
    assert is_small(message(data)) is small
