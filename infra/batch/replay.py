"""Replay rejected events and dead letters: publish them again with the time of their first publication.

A rejected event is deleted only after it was found in the table `events`. An interrupted replay can be repeated: it
deletes the events that were stored in the meantime and publishes the others again, with the same cell keys.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from google.pubsub_v1.types import PubsubMessage

from infra.batch.subscriber import Subscriber
from shared import timestamps
from shared.bigtable.client import EVENTS, REJECTED, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Filter, Scan
from shared.contracts.model import Contract
from shared.ingest.pipeline import validate_message
from shared.pubsub.message import CONTENT_TYPE, FIRST_PUBLISHED, LINES, Message, pack
from shared.pubsub.publisher import Publisher
from shared.tables.events import FAMILY
from shared.tables.rejected import RejectedEvent, RejectedTable
from shared.validation.results import Accepted, rules_broken
from shared.validation.validator import Validator

# Seconds until a replay stops waiting for the function. Events that aren't stored by then stay in `rejected`.
_MAX_WAIT = 60.0
_POLL_INTERVAL = 0.2  # seconds
_MAX_EVENTS_IN_MEMORY = 1_000
_BATCH_SIZE = 100  # events per message, and messages per call
# The prefix of the attributes that Pub/Sub adds to a message when it forwards it to a dead-letter topic.
_DEAD_LETTER = "CloudPubSubDeadLetterSource"
_DEAD_LETTER_TIME = f"{_DEAD_LETTER}TopicPublishTime"


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
    """

    looked_at: int = 0
    passing: int = 0
    failing: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    published: int = 0
    waiting: int = 0


async def replay_rejected(
    bigtable: Bigtable,
    publisher: Publisher,
    contract: Contract,
    *,
    day: date | None = None,
    rule: str | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    max_wait: float = _MAX_WAIT,
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
        max_wait: seconds to wait for the function to store the events.
    """
    replay, validator = Replay(), Validator(contract)
    batch: list[tuple[RejectedEvent, Accepted]] = []
    async for event in RejectedTable(bigtable).of_day(day, rule=rule):
        if limit is not None and replay.looked_at == limit:
            break
        replay.looked_at += 1
        verdict = validator.validate(event.raw, _published(event))
        if not isinstance(verdict, Accepted):
            replay.failing.update(rules_broken(verdict.findings))
            continue
        replay.passing += 1
        if not dry_run:
            batch.append((event, verdict))
            if len(batch) == _MAX_EVENTS_IN_MEMORY:
                await _publish_and_delete(bigtable, publisher, batch, replay, max_wait)
                batch = []
    await _publish_and_delete(bigtable, publisher, batch, replay, max_wait)
    return replay


async def replay_dead_letters(
    subscriber: Subscriber,
    publisher: Publisher,
    contract: Contract,
    *,
    limit: int | None = None,
    dry_run: bool = False,
) -> Replay:
    """Publish dead letters again, and acknowledge each after it is published.

    Args:
        subscriber: pulls from the subscription of the dead-letter topic.
        publisher: publishes to the topics of the project.
        contract: the contract to count passing and failing events against.
        limit: the most messages to look at.
        dry_run: count the events without publishing or acknowledging.
    """
    replay, validator = Replay(), Validator(contract)
    pulled: list[str] = []
    while limit is None or replay.looked_at < limit:
        most = _BATCH_SIZE if limit is None else min(_BATCH_SIZE, limit - replay.looked_at)
        batch = await subscriber.pull(most)
        if not batch:
            break
        for received in batch:
            replay.looked_at += 1
            message = received.message
            for verdict in validate_message(validator, _redelivered(message)):
                if isinstance(verdict, Accepted):
                    replay.passing += 1
                else:
                    replay.failing.update(rules_broken(verdict.findings))
        ids = [received.ack_id for received in batch]
        if dry_run:
            pulled += ids
            continue
        await publisher.publish("events", [_as_first_published(received.message) for received in batch])
        replay.published += len(batch)
        await subscriber.acknowledge(ids)
    if pulled:
        await subscriber.nack(pulled)
    return replay


async def _publish_and_delete(
    bigtable: Bigtable,
    publisher: Publisher,
    events: list[tuple[RejectedEvent, Accepted]],
    replay: Replay,
    max_wait: float,
) -> None:
    """Publish the events that aren't stored, and wait until they are; delete each rejected event that is stored."""
    waiting = await _delete_stored(bigtable, events, replay)
    messages = list(_messages(event for event, _ in waiting))
    for start in range(0, len(messages), _BATCH_SIZE):
        await publisher.publish("events", messages[start : start + _BATCH_SIZE])
    replay.published += len(messages)
    deadline = time.monotonic() + max_wait
    while waiting and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_INTERVAL)
        waiting = await _delete_stored(bigtable, waiting, replay)
    replay.waiting += len(waiting)


async def _delete_stored(
    bigtable: Bigtable, events: list[tuple[RejectedEvent, Accepted]], replay: Replay
) -> list[tuple[RejectedEvent, Accepted]]:
    """Delete the rejected events whose canonical event is in the table `events`; return the others."""
    found: dict[tuple[bytes, bytes], bytes] = {}
    scan = Scan(
        keys=sorted({verdict.cell_key.row_key for _, verdict in events}), filter=Filter(family_name_regex_filter=FAMILY)
    )
    async for row in bigtable.read(EVENTS, scan):
        found |= {(row.key, cell.qualifier): cell.value for cell in row.cells}
    mutations, waiting = Mutations(), []
    for event, verdict in events:
        if found.get((verdict.cell_key.row_key, verdict.cell_key.qualifier)) == verdict.value:
            mutations.delete_row(event.row_key)
            replay.stored += 1
        else:
            waiting.append((event, verdict))
    await bigtable.write(REJECTED, mutations)
    return waiting


def _messages(events: Iterable[RejectedEvent]) -> Iterator[PubsubMessage]:
    """Pack events with the same time of first publication; an event with a newline gets a message of its own."""
    raws_by_time: dict[str, list[bytes]] = defaultdict(list)
    for event in events:
        attributes = {FIRST_PUBLISHED: event.published}
        if b"\n" in event.raw:
            yield PubsubMessage(data=event.raw, attributes=attributes)
        else:
            raws_by_time[event.published].append(event.raw)
    for published, raws in raws_by_time.items():
        attributes = {FIRST_PUBLISHED: published, CONTENT_TYPE: LINES}
        for batch in pack(raws, max_events=_BATCH_SIZE):
            yield PubsubMessage(data=b"\n".join(batch), attributes=attributes)


def _as_first_published(message: PubsubMessage) -> PubsubMessage:
    """Return a dead letter as the original message, with the time of its first publication."""
    attributes = {name: text for name, text in message.attributes.items() if not name.startswith(_DEAD_LETTER)}
    first = message.attributes.get(_DEAD_LETTER_TIME) or _iso_format(message.publish_time)
    attributes.setdefault(FIRST_PUBLISHED, first)
    return PubsubMessage(data=message.data, attributes=attributes, ordering_key=message.ordering_key)


def _redelivered(message: PubsubMessage) -> Message:
    """Return a dead letter as the function will receive it."""
    original = _as_first_published(message)
    published = timestamps.utc(datetime.fromisoformat(original.attributes[FIRST_PUBLISHED]))
    return Message(message.data, message.message_id, published, dict(original.attributes))


def _published(event: RejectedEvent) -> datetime:
    return timestamps.utc(datetime.fromisoformat(event.published))


def _iso_format(time: datetime) -> str:
    return datetime.fromtimestamp(time.timestamp(), UTC).isoformat()
