"""Put back what was rejected or given up: through the topic again, with the time it was published first.

An event leaves quarantine only when it has been found in `events`. A replay that is interrupted can therefore be run
again: what was stored meanwhile is removed then, and what wasn't is published once more, into the same place.
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

# Seconds until a replay stops waiting for the function; what isn't stored by then stays in quarantine.
PATIENCE = 60.0
_POLL = 0.2
_TOGETHER = 1_000  # events handled side by side: bounded memory, whatever there is in quarantine
_PACKED = 100
# What Pub/Sub adds to a message that it forwards to a dead-letter topic.
_DEAD_LETTER = "CloudPubSubDeadLetterSource"
_DEAD_LETTER_TIME = f"{_DEAD_LETTER}TopicPublishTime"


@dataclass(slots=True)
class Replay:
    """What a replay did, or would do.

    Attributes:
        looked_at: events, or for dead letters messages.
        passing: events that pass the contract now.
        failing: events that don't, by rule; they stay where they are.
        stored: events that were found in the table and have left quarantine.
        published: messages.
        waiting: events that were published and not found stored yet.
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
    patience: float = PATIENCE,
) -> Replay:
    """Publish again the rejected events that pass the contract now, and remove those that are stored.

    Args:
        bigtable: where the tables are.
        publisher: to the project's topics.
        contract: the one that the function goes by now.
        day: of first publication; all days when None.
        rule: only events that broke it.
        limit: events at most.
        dry_run: only look.
        patience: seconds to wait until the function has stored them.
    """
    replay, validator = Replay(), Validator(contract)
    together: list[tuple[RejectedEvent, Accepted]] = []
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
            together.append((event, verdict))
            if len(together) == _TOGETHER:
                await _put_back(bigtable, publisher, together, replay, patience)
                together = []
    await _put_back(bigtable, publisher, together, replay, patience)
    return replay


async def replay_dead_letters(
    subscriber: Subscriber,
    publisher: Publisher,
    contract: Contract,
    *,
    limit: int | None = None,
    dry_run: bool = False,
) -> Replay:
    """Publish again the messages that Pub/Sub has given up on; each is removed when it is published.

    Args:
        subscriber: to the subscription that keeps them.
        publisher: to the project's topics.
        contract: to say what will become of them.
        limit: messages at most.
        dry_run: only look, and leave them where they are.
    """
    replay, validator = Replay(), Validator(contract)
    looked_at: list[str] = []
    while limit is None or replay.looked_at < limit:
        most = _PACKED if limit is None else min(_PACKED, limit - replay.looked_at)
        batch = await subscriber.pull(most)
        if not batch:
            break
        for received in batch:
            replay.looked_at += 1
            message = received.message
            for verdict in validate_message(validator, _as_received(message)):
                if isinstance(verdict, Accepted):
                    replay.passing += 1
                else:
                    replay.failing.update(rules_broken(verdict.findings))
        ids = [received.ack_id for received in batch]
        if dry_run:
            looked_at += ids
            continue
        await publisher.publish("events", [_as_first_published(received.message) for received in batch])
        replay.published += len(batch)
        await subscriber.acknowledge(ids)
    if looked_at:
        await subscriber.hand_back(looked_at)
    return replay


async def _put_back(
    bigtable: Bigtable,
    publisher: Publisher,
    events: list[tuple[RejectedEvent, Accepted]],
    replay: Replay,
    patience: float,
) -> None:
    """Remove what an earlier replay has brought into the table, publish the rest, and wait for it to arrive."""
    waiting = await _remove_stored(bigtable, events, replay)
    messages = list(_messages(event for event, _ in waiting))
    for start in range(0, len(messages), _PACKED):
        await publisher.publish("events", messages[start : start + _PACKED])
    replay.published += len(messages)
    give_up = time.monotonic() + patience
    while waiting and time.monotonic() < give_up:
        await asyncio.sleep(_POLL)
        waiting = await _remove_stored(bigtable, waiting, replay)
    replay.waiting += len(waiting)


async def _remove_stored(
    bigtable: Bigtable, events: list[tuple[RejectedEvent, Accepted]], replay: Replay
) -> list[tuple[RejectedEvent, Accepted]]:
    """Take those out of quarantine that are in the table as the contract makes them; returns the others."""
    found: dict[tuple[bytes, bytes], bytes] = {}
    scan = Scan(
        keys=sorted({verdict.cell_key.row_key for _, verdict in events}), filter=Filter(family_name_regex_filter=FAMILY)
    )
    async for row in bigtable.read(EVENTS, scan):
        found |= {(row.key, cell.qualifier): cell.value for cell in row.cells}
    mutations, left = Mutations(), []
    for event, verdict in events:
        if found.get((verdict.cell_key.row_key, verdict.cell_key.qualifier)) == verdict.value:
            mutations.delete_row(event.row_key)
            replay.stored += 1
        else:
            left.append((event, verdict))
    await bigtable.write(REJECTED, mutations)
    return left


def _messages(events: Iterable[RejectedEvent]) -> Iterator[PubsubMessage]:
    """Pack events that were first published together; one that has a newline in it travels alone."""
    together: dict[str, list[bytes]] = defaultdict(list)
    for event in events:
        attributes = {FIRST_PUBLISHED: event.published}
        if b"\n" in event.raw:
            yield PubsubMessage(data=event.raw, attributes=attributes)
        else:
            together[event.published].append(event.raw)
    for published, raws in together.items():
        attributes = {FIRST_PUBLISHED: published, CONTENT_TYPE: LINES}
        for batch in pack(raws, max_events=_PACKED):
            yield PubsubMessage(data=b"\n".join(batch), attributes=attributes)


def _as_first_published(message: PubsubMessage) -> PubsubMessage:
    """Return a dead letter as it was before it was given up, with the time it was published first."""
    attributes = {name: text for name, text in message.attributes.items() if not name.startswith(_DEAD_LETTER)}
    first = message.attributes.get(_DEAD_LETTER_TIME) or _text(message.publish_time)
    attributes.setdefault(FIRST_PUBLISHED, first)
    return PubsubMessage(data=message.data, attributes=attributes, ordering_key=message.ordering_key)


def _as_received(message: PubsubMessage) -> Message:
    again = _as_first_published(message)
    published = timestamps.utc(datetime.fromisoformat(again.attributes[FIRST_PUBLISHED]))
    return Message(message.data, message.message_id, published, dict(again.attributes))


def _published(event: RejectedEvent) -> datetime:
    return timestamps.utc(datetime.fromisoformat(event.published))


def _text(moment: datetime) -> str:
    return datetime.fromtimestamp(moment.timestamp(), UTC).isoformat()
