"""Take events in: judge each one, then store the good and keep the bad, and only then say it is done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.ingest.duplicates import DuplicateDetector
from shared.ingest.flow_control import FlowControl, Reservation
from shared.ingest.micro_batch import MicroBatch
from shared.pubsub.message import CONTENT_ENCODING, Message, UnpackError, unpack
from shared.row_keys import CellKey
from shared.tables.events import EventsTable, Group
from shared.tables.rejected import RejectedTable
from shared.tables.state import StateTable
from shared.timestamps import MICROSECONDS_PER_DAY
from shared.validation.results import Accepted, Finding, Rejected, Verdict, rules_broken
from shared.validation.validator import Validator

Report = Callable[[Mapping[str, int]], None]

# Of a message, what is judged and stored at once.
_PART_EVENTS, _PART_BYTES = 500, 128 * 1024
# Bytes and further lines of a message up to which it is taken in together with others.
_SMALL_BYTES, _SMALL_LINES = 4 * 1024, 16
# Bytes that an event and a finding cost beside their text, about, as Python objects.
_PER_EVENT, _PER_FINDING = 64, 512


def judged(judge: Validator, message: Message) -> list[Verdict]:
    """Unpack a message and judge its events one by one; what can't be unpacked is rejected whole."""
    try:
        events = unpack(message)
    except UnpackError as error:
        return [_rejected(message, error)]
    return judge.all(events, message.published)


class Ingestion:
    """One process's way in.

    Attributes:
        counts: what it did: messages taken, events stored and rejected, and how many broke each rule. `duplicate`
            counts, among the stored, those that came again soon.
    """

    def __init__(
        self, bigtable: Bigtable, contract: Contract, *, quality: bool = True, report: Report | None = None
    ) -> None:
        """Prepare, without doing anything yet.

        Args:
            bigtable: where to store.
            contract: what to hold events to.
            quality: False stores all that has an id, a user and a time.
            report: is told of what each `keep` did.
        """
        self.counts: Counter[str] = Counter()
        self._report = report
        self._judgement = Validator(contract, quality=quality)
        self._contract = contract
        self._state = StateTable(bigtable)
        self._events = EventsTable(bigtable, contract.bucket)
        self._quarantine = RejectedTable(bigtable)
        self._recent = DuplicateDetector()
        self._room = FlowControl(patience=bigtable.store_deadline)
        self._small: MicroBatch[Message, tuple[list[Verdict], bool]] = MicroBatch(self._begin_together)
        self._places: asyncio.Task[None] | None = None
        self._places_held = False

    async def take(self, message: Message) -> None:
        """Unpack a message, judge its events and keep them; errors as those of `keep`, and this one.

        Small messages that come at the same moment are judged together. A large message is kept in parts, so that of
        its events only some exist in all their forms at once.

        Raises:
            OverloadedError: this instance holds as much as it may already.
        """
        if _is_small(message):
            self._tell({**await self._take_small(message), "messages": 1})
            return
        counts: dict[str, int] = {}
        async with self._room.admit(len(message.data)) as stay:
            for verdicts in self._judge(message, stay):
                if counts:
                    self._tell(counts)
                counts = await self._keep(verdicts, message.published, message.message_id)
        counts["messages"] = 1
        self._tell(counts)

    async def _take_small(self, message: Message) -> dict[str, int]:
        if not self._places_held:
            await self._hold_places()
        async with self._room.admit(len(message.data)):
            verdicts, stored = await self._small.join(message)
            if stored:
                return await self._stored([verdict for verdict in verdicts if type(verdict) is Accepted])
            return await self._keep(verdicts, message.published, message.message_id)

    def _begin_together(self, messages: Sequence[tuple[Message, asyncio.Future[tuple[list[Verdict], bool]]]]) -> None:
        """Judge the events of several small messages at once, and begin to store those that are all good.

        Each is done when its own events are acknowledged, so a slow key range holds up nobody else's. One with a bad
        event is left to be kept by itself.
        """
        unpacked = [unpack(message) for message, _ in messages]  # lines or an object: nothing to fail at
        raws = [raw for events in unpacked for raw in events]
        published = [message.published for (message, _), events in zip(messages, unpacked, strict=True) for _ in events]
        judged = iter(self._judgement.all(raws, published))
        good: list[Group[tuple[list[Verdict], bool]]] = []
        for (_, done), events in zip(messages, unpacked, strict=True):
            verdicts = list(islice(judged, len(events)))
            accepted = [verdict for verdict in verdicts if type(verdict) is Accepted]
            if done.done():
                continue  # called off
            if len(accepted) < len(verdicts):
                done.set_result((verdicts, False))
                continue
            good.append((accepted, done, (verdicts, True)))
        self._events.begin_store(good)

    def validate_all(self, raws: Sequence[bytes], published: datetime) -> list[Verdict]:
        """Judge events that are in no message."""
        return self._judgement.all(raws, published)

    def _judge(self, message: Message, stay: Reservation) -> Iterator[list[Verdict]]:
        """Judge a message's events part by part, and account for what they occupy."""
        try:
            events = unpack(message)
        except UnpackError as error:
            whole = _rejected(message, error)
        else:
            self._room.grow(stay, sum(map(len, events)) + len(events) * _PER_EVENT - stay.size)
            for part in _parts(events):
                verdicts = self._judgement.all(part, message.published)
                found = _PER_FINDING * sum([len(each.findings) for each in verdicts if type(each) is Rejected])
                self._room.grow(stay, found)
                yield verdicts
                self._room.grow(stay, -found)
            return
        yield [whole]  # not inside `except`, where the error would hold on to all that was unpacked

    async def keep(self, verdicts: Sequence[Verdict], published: datetime, source: str) -> None:
        """Store accepted events and quarantine rejected ones; returns when Bigtable has acknowledged all of it.

        Args:
            verdicts: of events that came together.
            published: when they were first published.
            source: the message they came in, or the file and line.

        Raises:
            TransientError: not all of it is stored; another try may succeed.
            PermanentError: no try will succeed before somebody changes something.
        """
        self._tell(await self._keep(verdicts, published, source))

    async def _keep(self, verdicts: Sequence[Verdict], published: datetime, source: str) -> dict[str, int]:
        """Do what `keep` does, and return what that was."""
        if not self._places_held:
            await self._hold_places()
        accepted = [verdict for verdict in verdicts if type(verdict) is Accepted]
        if len(accepted) == len(verdicts):
            await self._events.store(accepted)
            return await self._stored(accepted)
        rejected = [verdict for verdict in verdicts if type(verdict) is Rejected]
        await asyncio.gather(self._events.store(accepted), self._quarantine.keep(rejected, published, source))
        broken = Counter(rule for event in rejected for rule in rules_broken(event.findings))
        return {**await self._stored(accepted), **broken, "rejected": len(rejected)}

    async def _stored(self, accepted: list[Accepted]) -> dict[str, int]:
        """Take note of events that are stored now, and return what that was."""
        counts = {"stored": len(accepted)}
        cell_keys = [verdict.cell_key for verdict in accepted]
        await self._mark_late(cell_keys)
        if known := self._recent.count(cell_keys):
            counts["duplicate"] = known
        return counts

    def _tell(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            self.counts[name] += count
        if self._report:
            self._report(counts)

    async def _hold_places(self) -> None:
        """See once that the contract puts events where the tables have them; all who wait share one answer.

        Each asking for himself after the other, in an outage the last would wait for as many deadlines.
        """
        if self._places is None or self._places.done():
            self._places = asyncio.get_running_loop().create_task(self._state.verify_layout(self._contract))
        await asyncio.shield(self._places)
        self._places_held = True

    async def _mark_late(self, cell_keys: Sequence[CellKey]) -> None:
        """Mark the earlier days among these, now that their events can be read."""
        if not cell_keys:
            return
        today = int(time.time() // 86_400)
        times = [cell_key.micros for cell_key in cell_keys]
        days = {min(times) // MICROSECONDS_PER_DAY, max(times) // MICROSECONDS_PER_DAY}
        if len(days) > 1:
            days = {micros // MICROSECONDS_PER_DAY for micros in times}
        if days := {day for day in days if day < today}:
            await self._state.mark_late(datetime.fromtimestamp(day * 86_400, UTC).date() for day in days)


def _is_small(message: Message) -> bool:
    """Return whether a message plainly holds a few events: a gzip or an array of that size may hold thousands."""
    data = message.data
    if len(data) > _SMALL_BYTES or not data.startswith(b"{") or data.count(b"\n") > _SMALL_LINES:
        return False
    return message.problem is None and CONTENT_ENCODING not in message.attributes


def _rejected(message: Message, error: UnpackError) -> Rejected:
    return Rejected(message.data, [Finding(error.reason, "", error.found, error.expected)])


def _parts(events: list[bytes]) -> Iterator[list[bytes]]:
    """Cut events into parts of at most so many and of about so many bytes."""
    if len(events) <= _PART_EVENTS and sum(map(len, events)) <= _PART_BYTES:
        yield events
        return
    part: list[bytes] = []
    size = 0
    for event in events:
        part.append(event)
        size += len(event)
        if len(part) == _PART_EVENTS or size >= _PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
