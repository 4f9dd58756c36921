"""Micro-batching: messages of one turn of the event loop are validated together and stored independently."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts.loader import load_contract
from shared.ingest.micro_batch import MicroBatch, Validated
from shared.validation.results import Accepted, Verdict
from shared.validation.validator import Validator
from tests.support.samples import MUSIC_CONTRACT, lines, message, music_event

VALIDATOR = Validator(load_contract(MUSIC_CONTRACT))
PUBLISHED = datetime(2024, 1, 15, 12, tzinfo=UTC)


class FakeEventsTable:
    """Records the store requests; a test decides when each is done."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[str]] = []
        self.requests: dict[str, tuple[asyncio.Future[Validated], Validated]] = {}
        self._error = error

    def begin_store(self, requests: Sequence[tuple[Sequence[Accepted], asyncio.Future[Validated], Validated]]) -> None:
        if self._error:
            raise self._error
        ids = [events[0].cell_key.qualifier.decode().split("-")[1] for events, _, _ in requests]
        self.batches.append(ids)
        for id_, (_, done, result) in zip(ids, requests, strict=True):
            self.requests[id_] = (done, result)

    def finish(self, id_: str) -> None:
        done, result = self.requests[id_]
        done.set_result(result)


async def submit(batch: MicroBatch, ids: str, **changes: Any) -> list[asyncio.Task[Validated]]:
    messages = [message(lines([music_event(1, event_id=f"e-{id_}", **changes)]), published=PUBLISHED) for id_ in ids]
    tasks = [asyncio.create_task(batch.submit(each)) for each in messages]
    await asyncio.sleep(0.01)
    return tasks


def micro_batch(table: FakeEventsTable) -> MicroBatch:
    return MicroBatch(VALIDATOR, table)  # type: ignore[arg-type] - a fake


async def test_messages_of_one_turn_share_a_batch_and_later_ones_do_not() -> None:
    table = FakeEventsTable()
    batch = micro_batch(table)

    await submit(batch, "abc")
    await submit(batch, "d")

    assert table.batches == [["a", "b", "c"], ["d"]]


async def test_a_message_does_not_wait_for_the_others_of_its_batch() -> None:
    table = FakeEventsTable()
    slow, quick, failed = await submit(micro_batch(table), "abc")

    table.finish("b")
    table.requests["c"][0].set_exception(ValueError("c"))

    assert (await quick).stored
    with pytest.raises(ValueError, match="c"):
        await failed
    assert not slow.done()
    table.finish("a")
    assert (await slow).stored


async def test_a_message_with_a_rejected_event_is_left_to_its_caller() -> None:
    table = FakeEventsTable()
    [rejected] = await submit(micro_batch(table), "a", duration=-1, event_type="dance")

    verdicts: list[Verdict] = (await rejected).verdicts

    assert not (await rejected).stored
    assert [type(verdict).__name__ for verdict in verdicts] == ["Rejected"]
    assert table.batches == [[]]


async def test_an_error_of_the_batch_reaches_every_message() -> None:
    tasks = await submit(micro_batch(FakeEventsTable(error=KeyError("batch"))), "ab")

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [KeyError, KeyError]


async def test_a_cancelled_message_keeps_the_others() -> None:
    table = FakeEventsTable()
    first, second = await submit(micro_batch(table), "ab")

    first.cancel()
    table.finish("b")

    assert (await second).stored
    with pytest.raises(asyncio.CancelledError):
        await first
