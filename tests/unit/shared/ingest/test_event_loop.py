"""No message holds the event loop for long: others are served meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from shared import gc_tuning
from shared.bigtable.client import Bigtable
from shared.bigtable.mutations import Entry, Mutations
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import Message, receive
from shared.validation.results import Verdict
from shared.validation.validator import MAX_FAST_BYTES
from tests.support.hostile import CASES, GOOD, MEMORY_HEAVY, OTHER, Case, lines, plain, with_value, zipped
from tests.support.samples import MUSIC_CONTRACT

pytestmark = pytest.mark.no_cover  # the cases repeat lines that other tests cover
# Seconds of CPU.
LONGEST_HOLD = 0.1

KEEPING = load_contract(MUSIC_CONTRACT)
REJECTING = replace(KEEPING, unknown_fields="reject")


def events_with_unknown_fields(events: int, fields: int) -> bytes:
    """Return gzip of that many small events, each with that many unknown fields and without the required ones."""
    event = b"{" + b",".join(b'"%x":0' % number for number in range(fields)) + b"}"
    return zipped(lines(*[event] * events))


MANY_FINDINGS = [
    plain(f"{events} events with {fields} unknown fields", events_with_unknown_fields(events, fields))
    for events, fields in ((4_000, 10), (2_000, 40), (1_000, 100))
]
FURTHER_KEYS = b", ".join(b'"k%d": 0' % number for number in range(4_000))
MANY_VALUES = [
    plain("events of 42 KB of empty arrays", zipped(lines(*[with_value(b"[" + b"[]," * 14_000 + b"1]")] * 60))),
    plain("events of 45 KB of further keys", zipped(lines(*[with_value(b"0, " + FURTHER_KEYS)] * 60))),
    plain("48,000 times '['", b"[" * 48_000),
]
LONG_CASES = [case for case in CASES + MEMORY_HEAVY if len(str(case.body())) > 20_000] + MANY_FINDINGS + MANY_VALUES


class BigtableWithoutServer(Bigtable):
    """Encodes mutations, and sends nothing."""

    async def write(self, table: str, mutations: Mutations) -> None:
        self.send(mutations.entries())
        await asyncio.sleep(0)

    async def write_entries(self, table: str, entries: Sequence[Entry]) -> None:
        self.send(entries)
        await asyncio.sleep(0)

    def begin_write(self, table: str, entries: Sequence[Entry], done: asyncio.Future[Any], result: Any) -> None:
        self.send(entries)
        done.set_result(result)

    def send(self, entries: Sequence[Entry]) -> None:
        b"".join([entry.wire for entry in entries])


def pipeline_without_server(contract: Any, **options: Any) -> IngestPipeline:
    pipeline = IngestPipeline(BigtableWithoutServer(Settings("project", "instance")), contract, **options)
    pipeline._layout.verified = True
    return pipeline


@pytest.fixture
def tuned_collector() -> Iterator[None]:
    """Apply the settings of a function: with Python's defaults, the objects of all tests are collected meanwhile."""
    threshold = gc.get_threshold()
    gc_tuning.apply()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


async def longest_hold(pipeline: IngestPipeline, message: Message) -> float:
    """Return the most CPU time between two turns of the event loop.

    The time of all threads counts: a thread that runs one long call of an extension holds the event loop as well. What
    other processes do meanwhile doesn't count.
    """
    longest, last = 0.0, time.process_time()
    processing = asyncio.create_task(pipeline.process(message))
    while not processing.done():
        await asyncio.sleep(0)
        now = time.process_time()
        longest, last = max(longest, now - last), now
    await processing
    return longest


@pytest.mark.no_cover  # the tracer would be measured, too
@pytest.mark.usefixtures("tuned_collector")
@pytest.mark.parametrize("contract", [KEEPING, REJECTING], ids=["keep", "reject"])
@pytest.mark.parametrize("case", LONG_CASES, ids=lambda case: case.name)
async def test_no_message_holds_the_event_loop(case: Case, contract: Any) -> None:
    counts: list[Mapping[str, int]] = []
    pipeline = pipeline_without_server(contract, report=counts.append)
    message = receive(case.body())

    # The shortest of three: on a busy machine the same work takes more CPU time, never less.
    holds = [await longest_hold(pipeline, message) for _ in range(3)]

    assert min(holds) < LONGEST_HOLD
    assert sum(each.get("messages", 0) for each in counts) == 3


async def test_a_large_event_is_validated_in_a_thread_and_the_others_in_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = pipeline_without_server(KEEPING)
    validate = pipeline._validator.validate
    threads: dict[int, threading.Thread] = {}

    def record_thread(raw: bytes, published: datetime) -> Verdict:
        threads[len(raw)] = threading.current_thread()
        return validate(raw, published)

    monkeypatch.setattr(pipeline._validator, "validate", record_thread)
    at_limit = with_value(b'"' + b"x" * (MAX_FAST_BYTES - len(with_value(b'""'))) + b'"')
    above_limit = with_value(b'"' + b"x" * (MAX_FAST_BYTES - len(with_value(b'""')) + 1) + b'"')

    await pipeline.process(receive(plain("", lines(GOOD, at_limit, above_limit, OTHER)).body()))

    assert threads[MAX_FAST_BYTES] is threading.current_thread()
    assert threads[MAX_FAST_BYTES + 1] is not threading.current_thread()
    assert pipeline.counts["stored"] == 4
