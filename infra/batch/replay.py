"""Replay rejected events: publish them again with the time of their first publication.

A rejected event is deleted only after it was found in the table `events`. An interrupted replay can be repeated: it
deletes the events that were stored in the meantime and publishes the others again, with the same cell keys.

A replay never replaces a stored event with another body, unless it is asked to overwrite: the stored one is the
producer's correction in nearly every case. Of several rejected bodies of one event it replays the last published.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from google.pubsub_v1.types import PubsubMessage

from infra.batch.publish import calls
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import EVENTS, REJECTED, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.contracts.model import Contract
from shared.pubsub.message import CONTENT_TYPE, FIRST_PUBLISHED, LINES, MAX_PACKED_BYTES
from shared.pubsub.packing import MessageTooLargeError, fit, pack
from shared.pubsub.publisher import Publisher
from shared.tables.events import FAMILY
from shared.tables.rejected import RejectedEvent, RejectedTable
from shared.validation.results import Accepted, rules_broken
from shared.validation.validator import Validator

# Seconds until a replay stops waiting for the function. Events that aren't stored by then stay in `rejected`.
_MAX_WAIT = 60.0
_POLL_INTERVAL = 0.2  # seconds
_MAX_EVENTS_IN_MEMORY = 1_000
_BATCH_SIZE = 100  # events per message


@dataclass(slots=True)
class Replay:
    """The counts of a replay, or of a dry run.

    Attributes:
        looked_at: rejected events, or for dead letters messages.
        passing: events that pass the contract now.
        failing: events that fail, by rule.
        stored: events that were found in the table `events` and deleted from `rejected`.
        published: messages.
        waiting: events that were published and are not stored yet.
        left_alone: events that were not published, because another body is stored or was published later.
        too_large: events that were not published, because no message may have their size.
        largest_bytes: the size of the largest of these.
    """

    looked_at: int = 0
    passing: int = 0
    failing: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    published: int = 0
    waiting: int = 0
    left_alone: int = 0
    too_large: int = 0
    largest_bytes: int = 0

    def lines(self, what: str, *, dry_run: bool) -> Iterator[tuple[str, bool]]:
        """Yield the lines that describe the counts, each with whether it is a problem; `what` was looked at."""
        yield f"{self.looked_at:,} {what} looked at: {self.passing:,} events pass the contract now", False
        for rule, count in self.failing.most_common():
            yield f"  {count:,} events still break {rule}", False
        if self.left_alone:
            yield f"{self.left_alone:,} events left alone: another body is stored, or was published later", False
        if self.too_large:
            yield (
                f"{self.too_large:,} events are too large to publish and stay: the largest has "
                f"{self.largest_bytes:,} bytes, expected at most {MAX_PACKED_BYTES:,} after compression",
                True,
            )
        if dry_run:
            yield "nothing was changed", False
            return
        yield f"{self.published:,} messages published", False
        if self.stored:
            yield f"{self.stored:,} events are stored and were deleted from rejected", False
        if self.waiting:
            yield f"{self.waiting:,} events are not stored yet; repeat the replay to delete them later", True

    def add_too_large(self, events: Sequence[bytes]) -> None:
        """Count events that fit into no message."""
        self.too_large += len(events)
        self.largest_bytes = max([self.largest_bytes, *map(len, events)])


async def replay_rejected(
    bigtable: Bigtable,
    publisher: Publisher,
    contract: Contract,
    *,
    day: date | None = None,
    rule: str | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    max_wait: float = _MAX_WAIT,
    replay: Replay | None = None,
) -> Replay:
    """Publish the rejected events that pass the contract now, and delete those that are stored.

    Args:
        bigtable: the instance with the tables.
        publisher: publishes to the topics of the project.
        contract: the current contract of the function.
        day: the day of first publication; None for all days.
        rule: replay only events that broke this rule.
        limit: the most events to look at.
        dry_run: count the events without changing anything.
        overwrite: replace stored events with other bodies, too.
        max_wait: seconds to wait for the function to store the events.
        replay: the counts to update and return, for a caller that shows them meanwhile; new ones by default.
    """
    replay, validator = replay or Replay(), Validator(contract)
    batch: list[tuple[RejectedEvent, Accepted]] = []
    async for event in RejectedTable(bigtable).of_day(day, rule=rule):
        if limit is not None and replay.looked_at == limit:
            break
        replay.looked_at += 1
        verdict = validator.validate(event.raw, event.publish_time)
        if not isinstance(verdict, Accepted):
            replay.failing.update(rules_broken(verdict.findings))
            continue
        replay.passing += 1
        batch.append((event, verdict))
        if len(batch) == _MAX_EVENTS_IN_MEMORY:
            await _replay_batch(bigtable, publisher, batch, replay, max_wait, dry_run=dry_run, overwrite=overwrite)
            batch = []
    await _replay_batch(bigtable, publisher, batch, replay, max_wait, dry_run=dry_run, overwrite=overwrite)
    return replay


async def _replay_batch(
    bigtable: Bigtable,
    publisher: Publisher,
    events: list[tuple[RejectedEvent, Accepted]],
    replay: Replay,
    max_wait: float,
    *,
    dry_run: bool,
    overwrite: bool,
) -> None:
    """Publish the events that aren't stored, and wait until they are; delete each rejected event that is stored."""
    last = {verdict.cell_key: event for event, verdict in sorted(events, key=lambda each: each[0].publish_time)}
    stored = await stored_events(bigtable, [verdict for _, verdict in events])
    replayed = [
        (event, verdict)
        for event, verdict in events
        if last[verdict.cell_key] is event
        and (overwrite or stored.get(verdict.cell_key[:2], verdict.value) == verdict.value)
    ]
    replay.left_alone += len(events) - len(replayed)
    if dry_run:
        waiting = [each for each in replayed if stored.get(each[1].cell_key[:2]) != each[1].value]
    else:
        waiting = await _delete_stored(bigtable, replayed, replay)
    messages, too_large = messages_of((event.raw, event.published) for event, _ in waiting)
    replay.add_too_large(too_large)
    if dry_run:
        return
    unsent = set(too_large)
    waiting = [(event, verdict) for event, verdict in waiting if event.raw not in unsent]
    replay.published += await publish_again(publisher, publisher.events_topic, messages)
    deadline = time.monotonic() + max_wait
    while waiting and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_INTERVAL)
        waiting = await _delete_stored(bigtable, waiting, replay)
    replay.waiting += len(waiting)


async def stored_events(bigtable: Bigtable, events: Iterable[Accepted]) -> dict[tuple[bytes, bytes], bytes]:
    """Return the stored values in the rows of these events, by row key and qualifier."""
    scan = Scan(
        keys=sorted({event.cell_key.row_key for event in events}), filter=Filter(family_name_regex_filter=FAMILY)
    )
    stored: dict[tuple[bytes, bytes], bytes] = {}
    async for row in bigtable.read(EVENTS, scan):
        stored |= {(row.key, cell.qualifier): cell.value for cell in row.cells}
    return stored


async def _delete_stored(
    bigtable: Bigtable, events: list[tuple[RejectedEvent, Accepted]], replay: Replay
) -> list[tuple[RejectedEvent, Accepted]]:
    """Delete the rejected events whose canonical event is in the table `events`; return the others."""
    stored = await stored_events(bigtable, [verdict for _, verdict in events])
    mutations, waiting = Mutations(), []
    for event, verdict in events:
        if stored.get(verdict.cell_key[:2]) == verdict.value:
            mutations.delete_row(event.row_key)
            replay.stored += 1
        else:
            waiting.append((event, verdict))
    await bigtable.write(REJECTED, mutations)
    return waiting


def messages_of(events: Iterable[tuple[bytes, str]]) -> tuple[list[PubsubMessage], list[bytes]]:
    """Pack events with the same time of first publication; an event with a newline gets a message of its own.

    Args:
        events: (event, time of its first publication as RFC 3339) pairs.

    Returns:
        The messages, and the events that fit into none.
    """
    messages: list[PubsubMessage] = []
    too_large: list[bytes] = []

    def add(data: bytes, attributes: Mapping[str, str]) -> None:
        try:
            data, attributes = fit(data, attributes)
        except MessageTooLargeError:  # `data` is a single event
            too_large.append(data)
        else:
            messages.append(PubsubMessage(data=data, attributes=attributes))

    raws_by_time: dict[str, list[bytes]] = defaultdict(list)
    for raw, published in events:
        if b"\n" in raw:
            add(raw, {FIRST_PUBLISHED: published})
        else:
            raws_by_time[published].append(raw)
    for published, raws in raws_by_time.items():
        for batch in pack(raws, max_events=_BATCH_SIZE):
            add(b"\n".join(batch), {FIRST_PUBLISHED: published, CONTENT_TYPE: LINES})
    return messages, too_large


async def publish_again(publisher: Publisher, topic: str, messages: Iterable[PubsubMessage]) -> int:
    """Publish messages to a topic and return their number."""
    count = 0
    for of_call, messages_of_call in calls((message, 1) for message in messages):
        await publisher.publish(topic, of_call)
        count += messages_of_call
    return count
