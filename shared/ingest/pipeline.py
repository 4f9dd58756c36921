"""The ingest pipeline: unpack a message, validate its events, store them, and keep the rejected ones.

`IngestPipeline.process` returns when Bigtable has acknowledged every event of the message.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.ingest.duplicates import DuplicateDetector
from shared.ingest.flow_control import FlowControl, Reservation
from shared.ingest.micro_batch import MicroBatch, is_small
from shared.pubsub.message import Message, UnpackError, is_gzip, unpack
from shared.tables.events import EventsTable
from shared.tables.layout import Layout
from shared.tables.rejected import RejectedTable
from shared.tables.state import StateTable
from shared.validation.fast_path import FastResult
from shared.validation.results import AcceptedColumns, Finding, Rejected, Verdict, rules_broken
from shared.validation.validator import MAX_FAST_BYTES, Validator

Report = Callable[[Mapping[str, int]], None]

# Events and bytes of a large message that take the fast path, and are stored, at once.
_CHUNK_EVENTS, _CHUNK_BYTES = 500, 128 * 1024
# Bytes of events that are validated one by one in one turn of the event loop, each with this overhead.
_SLICE_BYTES, _SLICE_OVERHEAD = 32 * 1024, 256
# Plain bytes of a message that is unpacked in the event loop.
_MAX_INLINE_BYTES = 48 * 1024
# Arrays in such a message. Nested too deep for the decoder, each takes a microsecond of Python.
_MAX_INLINE_ARRAYS = 4_000
# Approximate bytes of an event and of a finding as Python objects, without their text.
_EVENT_OVERHEAD, _FINDING_OVERHEAD = 64, 512


class IngestPipeline:
    """Validates and stores events under one contract.

    Attributes:
        counts: messages processed, events stored and rejected, and events per broken rule. `duplicate` counts the
            stored events that had been stored shortly before.
    """

    def __init__(
        self,
        bigtable: Bigtable,
        contract: Contract,
        *,
        quality: bool = True,
        report: Report | None = None,
        count_duplicates: bool = True,
    ) -> None:
        """Prepare; the first message connects.

        Args:
            bigtable: where to store.
            contract: what events are validated against.
            quality: False accepts every event that has an id, a user and a time.
            report: is called with the counts of each message or chunk.
            count_duplicates: False leaves `duplicate` out of the counts.
        """
        self.counts: Counter[str] = Counter()
        self._report = report
        self._contract = contract
        self._validator = Validator(contract, quality=quality)
        self._events = EventsTable(bigtable, contract.bucket)
        self._rejected = RejectedTable(bigtable)
        self._layout = Layout(bigtable)
        self._state = StateTable(bigtable)
        self._duplicates = DuplicateDetector() if count_duplicates else None
        self._flow_control = FlowControl(max_wait=bigtable.store_deadline)
        self._micro_batch = MicroBatch(self._validator, self._events)
        # One thread: a decoded event may take thirty times its bytes, so two of them together could exceed the memory.
        self._large_events = ThreadPoolExecutor(1, "large-events")

    async def process(self, message: Message) -> None:
        """Unpack a message, validate its events and store them.

        Small messages that arrive together are validated together. A large message is processed in chunks, which
        bounds its memory.

        Raises:
            OverloadedError: the instance is at capacity.
            TransientError, PermanentError: like `store`.
        """
        if is_small(message):
            self._count({**await self._process_small(message), "messages": 1})
            return
        async with self._flow_control.reserve(len(message.data)) as reservation:
            await self._process_large(message, reservation)

    async def _process_large(self, message: Message, reservation: Reservation) -> None:
        """Process a message chunk by chunk; the reservation follows the bytes that its events and findings take."""
        rejected: Rejected | None = None
        try:
            events = await _unpack(message)
        except UnpackError as error:
            rejected = reject_message(self._validator, message, error)
        if rejected:  # outside of `except`: the error would keep the unpacked bytes in memory
            counts = await self._store([rejected], message.published, message.message_id)
            self._count({**counts, "messages": 1})
            return
        unpacked = sum(map(len, events)) + len(events) * _EVENT_OVERHEAD
        self._flow_control.resize(reservation, unpacked - reservation.size)
        for chunk in _chunks(events):
            found = self._validator.accept_all(chunk, [message.published] * len(chunk))
            if len(found.rows) == len(chunk):
                self._count(await self._store_accepted(found.columns))
                continue
            verdicts = await self._validate(chunk, found, message.published)
            findings = _FINDING_OVERHEAD * sum([len(each.findings) for each in verdicts if type(each) is Rejected])
            self._flow_control.resize(reservation, findings)
            self._count(await self._store(verdicts, message.published, message.message_id))
            self._flow_control.resize(reservation, -findings)
        self._count({"messages": 1})

    async def _validate(self, events: list[bytes], found: FastResult, published: datetime) -> list[Verdict]:
        """Validate the events that aren't certainly valid; the event loop serves other requests meanwhile.

        Returns:
            The verdicts of all events.
        """
        accepted = dict(zip(found.rows, found.columns.events(), strict=True))
        verdicts: list[Verdict] = []
        size = 0
        for row, raw in enumerate(events):
            if row in accepted:
                verdicts.append(accepted[row])
            elif len(raw) > MAX_FAST_BYTES:
                work = asyncio.get_running_loop().run_in_executor(
                    self._large_events, self._validator.validate, raw, published
                )
                verdicts.append(await work)
            else:
                verdicts.append(self._validator.validate(raw, published))
                size += len(raw) + _SLICE_OVERHEAD
                if size >= _SLICE_BYTES:
                    await asyncio.sleep(0)
                    size = 0
        return verdicts

    async def _process_small(self, message: Message) -> dict[str, int]:
        if not self._layout.verified:
            await self._layout.verify(self._contract)
        async with self._flow_control.reserve(len(message.data)):
            verdicts, stored = await self._micro_batch.submit(message)
            if stored:
                return await self._after_store(AcceptedColumns.of_verdicts(verdicts))
            return await self._store(verdicts, message.published, message.message_id)

    def accept_all(self, raws: Sequence[bytes], published: datetime) -> FastResult:
        """Return the events that are certainly valid; they are in no message."""
        return self._validator.accept_all(raws, [published] * len(raws))

    def complete(self, found: FastResult, raws: Sequence[bytes], published: datetime) -> list[Verdict]:
        """Return the verdict on each event, of those for which `accept_all` returned `found`."""
        return self._validator.complete(found, raws, [published] * len(raws))

    def validate_all(self, raws: Sequence[bytes], published: datetime) -> list[Verdict]:
        """Validate events that are in no message."""
        return self._validator.validate_all(raws, published)

    def reject(self, raw: bytes, finding: Finding) -> Rejected:
        """Return the verdict on bytes that aren't validated; they aren't kept if the contract masks fields."""
        return self._validator.reject(raw, finding)

    async def store(self, verdicts: Sequence[Verdict], published: datetime, source: str) -> None:
        """Store accepted and rejected events; return when Bigtable has acknowledged all of them.

        Args:
            verdicts: of events that arrived together.
            published: when they were first published.
            source: the id of their message, or their file and line.

        Raises:
            TransientError: not all of them are stored; a retry may succeed.
            PermanentError: an operator has to change something first.
        """
        self._count(await self._store(verdicts, published, source))

    async def store_accepted(self, accepted: AcceptedColumns) -> None:
        """Store accepted events like `store`."""
        self._count(await self._store_accepted(accepted))

    async def _store_accepted(self, accepted: AcceptedColumns) -> dict[str, int]:
        if not self._layout.verified:
            await self._layout.verify(self._contract)
        await self._events.store(accepted)
        return await self._after_store(accepted)

    async def _store(self, verdicts: Sequence[Verdict], published: datetime, source: str) -> dict[str, int]:
        """Store like `store`; return the counts."""
        accepted = AcceptedColumns.of_verdicts(verdicts)
        if len(accepted.values) == len(verdicts):
            return await self._store_accepted(accepted)
        if not self._layout.verified:
            await self._layout.verify(self._contract)
        rejected = [verdict for verdict in verdicts if type(verdict) is Rejected]
        await asyncio.gather(self._events.store(accepted), self._rejected.store(rejected, published, source))
        await self._state.mark_late_rejected(published)
        broken = Counter(rule for event in rejected for rule in rules_broken(event.findings))
        return {**await self._after_store(accepted), **broken, "rejected": len(rejected)}

    async def _after_store(self, accepted: AcceptedColumns) -> dict[str, int]:
        """Mark the earlier days of stored events for the next aggregation; return the counts."""
        counts = {"stored": len(accepted.values)}
        await self._state.mark_late_events(accepted.micros)
        if self._duplicates and (duplicates := self._duplicates.count(accepted.cell_keys())):
            counts["duplicate"] = duplicates
        return counts

    def _count(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            self.counts[name] += count
        if self._report:
            self._report(counts)


def validate_message(validator: Validator, message: Message) -> list[Verdict]:
    """Return the verdicts of a message's events, or the one of a message that can't be unpacked."""
    try:
        events = unpack(message)
    except UnpackError as error:
        return [reject_message(validator, message, error)]
    return validator.validate_all(events, message.published)


async def _unpack(message: Message) -> list[bytes]:
    """Unpack a message, in a thread if that could hold up the event loop for long."""
    data = message.data
    # Looking for a bracket takes a tenth of counting.
    few_arrays = b"[" not in data or data.count(b"[") <= _MAX_INLINE_ARRAYS
    if len(data) <= _MAX_INLINE_BYTES and few_arrays and not is_gzip(message):
        return unpack(message)
    return await asyncio.to_thread(unpack, message)


def reject_message(validator: Validator, message: Message, error: UnpackError) -> Rejected:
    """Return the verdict of a message that can't be unpacked; the reasons of an UnpackError are names of rules."""
    return validator.reject(message.data, Finding(error.reason, "", error.found, error.expected))


def _chunks(events: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the events in chunks of at most `_CHUNK_EVENTS` and about `_CHUNK_BYTES`."""
    if len(events) <= _CHUNK_EVENTS and sum(map(len, events)) <= _CHUNK_BYTES:
        yield events
        return
    chunk: list[bytes] = []
    size = 0
    for event in events:
        chunk.append(event)
        size += len(event)
        if len(chunk) == _CHUNK_EVENTS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
