"""The ingest pipeline: concurrent messages share requests, and each gets its own outcome."""

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


class FakeTables:
    """Fakes of the tables: record stored and rejected events; refuse or hold rows as a test specifies."""

    def __init__(self, pipeline: IngestPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[str]] = []
        self.rejected: list[tuple[str, int]] = []
        self.refused: set[str] = set()
        self.held: set[str] = set()
        self.open = asyncio.Event()
        self.error: Exception | None = None
        batcher = Batcher(self.send, "table events", deadline=60, limits=BatchLimits(pending_bytes=1_000))
        monkeypatch.setattr(pipeline._events._bigtable, "_batcher", lambda _table: batcher)
        monkeypatch.setattr(pipeline._rejected, "store", self.store_rejected)
        monkeypatch.setattr(pipeline._layout, "verify", self.do_nothing)
        monkeypatch.setattr(pipeline._state, "mark_late", self.do_nothing)

    @property
    def stored(self) -> list[str]:
        return sorted(id_ for call in self.calls for id_ in call if id_ not in self.refused)

    async def do_nothing(self, _argument: Any) -> None:
        await asyncio.sleep(0)

    async def send(self, entries: Sequence[Entry], timeout: float) -> list[Exception | None]:
        ids_of_entries = [ids_in(entry) for entry in entries]
        ids = [id_ for each in ids_of_entries for id_ in each]
        if self.held & set(ids):
            await self.open.wait()
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.calls.append(ids)
        refused = CallError(StatusCode.INVALID_ARGUMENT, "an invalid row")
        return [refused if self.refused.intersection(each) else None for each in ids_of_entries]

    async def store_rejected(self, rejected: list[Rejected], published: datetime, source: str) -> None:
        self.rejected.append((source, len(rejected)))


def ids_in(entry: Entry) -> list[str]:
    [parsed] = MutateRowsRequest.deserialize(entry.wire).entries
    return [mutation.set_cell.column_qualifier[12:].decode() for mutation in parsed.mutations]


@pytest.fixture
def pipeline() -> IngestPipeline:
    return IngestPipeline(Bigtable(Settings("project", "instance")), MUSIC)


@pytest.fixture
def tables(pipeline: IngestPipeline, monkeypatch: pytest.MonkeyPatch) -> FakeTables:
    return FakeTables(pipeline, monkeypatch)


def message_of(*events: dict[str, Any], message_id: str = "1") -> Any:
    return message(lines(events), message_id=message_id, published=PUBLISHED)


async def process(pipeline: IngestPipeline, *messages: Any) -> list[type]:
    outcomes = await asyncio.gather(*map(pipeline.process, messages), return_exceptions=True)
    return [type(outcome) for outcome in outcomes]


async def test_events_of_several_messages_share_a_request(pipeline: IngestPipeline, tables: FakeTables) -> None:
    outcomes = await process(
        pipeline, message_of(music_event(1)), message_of(music_event(2), music_event(3)), message_of(music_event(4))
    )

    assert outcomes == [type(None)] * 3
    assert len(tables.calls) == 1
    assert tables.stored == ["evt-000001", "evt-000002", "evt-000003", "evt-000004"]
    assert pipeline.counts == {"stored": 4, "messages": 3}


async def test_a_rejected_event_is_stored_with_its_own_message(pipeline: IngestPipeline, tables: FakeTables) -> None:
    invalid = message_of(music_event(2), music_event(3, userId=""), message_id="77")

    outcomes = await process(pipeline, message_of(music_event(1)), invalid, message_of(music_event(4)))

    assert outcomes == [type(None)] * 3
    assert tables.stored == ["evt-000001", "evt-000002", "evt-000004"]
    assert tables.rejected == [("77", 1)]
    assert pipeline.counts == {"stored": 3, "rejected": 1, "null": 1, "messages": 3}


async def test_each_event_is_validated_against_its_own_publish_time(
    pipeline: IngestPipeline, tables: FakeTables
) -> None:
    event = music_event(1, timestamp="2024-01-15T12:00:00Z")
    early = message(lines([event]), message_id="early", published=datetime(2024, 1, 15, 11, tzinfo=UTC))

    await process(pipeline, message_of(music_event(2)), early, message_of(event, message_id="late"))

    assert tables.rejected == [("early", 1)]  # its time is an hour after the publish time of that message
    assert tables.stored == ["evt-000001", "evt-000002"]


async def test_only_the_message_with_an_invalid_row_fails(pipeline: IngestPipeline, tables: FakeTables) -> None:
    tables.refused = {"evt-000002"}

    outcomes = await process(
        pipeline, message_of(music_event(1)), message_of(music_event(2)), message_of(music_event(3))
    )

    assert outcomes == [type(None), StoreRefusedError, type(None)]
    assert tables.stored == ["evt-000001", "evt-000003"]


async def test_a_slow_request_does_not_delay_later_messages(pipeline: IngestPipeline, tables: FakeTables) -> None:
    tables.held = {"evt-000001"}
    slow = asyncio.create_task(pipeline.process(message_of(music_event(1))))
    await asyncio.sleep(0.01)

    await pipeline.process(message_of(music_event(2)))

    assert not slow.done()
    tables.open.set()
    await slow


async def test_an_error_of_a_request_reaches_every_message(pipeline: IngestPipeline, tables: FakeTables) -> None:
    tables.error = StoreUnavailableError("not acknowledged within 60 s")

    outcomes = await process(pipeline, message_of(music_event(1)), message_of(music_event(2)))

    assert outcomes == [StoreUnavailableError] * 2
    assert pipeline.counts == {}


async def test_an_event_and_its_warning_are_stored_together(pipeline: IngestPipeline, tables: FakeTables) -> None:
    tables.refused = {"evt-000003"}
    warned = message_of(music_event(1, duration=-1))

    outcomes = await process(pipeline, warned, message_of(music_event(2)), message_of(music_event(3)))

    assert outcomes == [type(None), type(None), StoreRefusedError]
    assert tables.stored == ["evt-000001", "evt-000001", "evt-000002"]


async def test_a_message_above_the_pending_limit_is_refused_and_the_others_are_stored(
    pipeline: IngestPipeline, tables: FakeTables
) -> None:
    large = message_of(music_event(2, pad="x" * 2_000))

    outcomes = await process(pipeline, message_of(music_event(1)), large, message_of(music_event(3)))

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
        (gzip.compress(b"{}\n" * 1_000, mtime=0), False),
        (b"", False),
    ],
)
def test_a_message_that_may_contain_many_events_is_not_small(data: bytes, small: bool) -> None:
    assert is_small(message(data)) is small
