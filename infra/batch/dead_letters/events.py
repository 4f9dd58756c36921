"""Replay dead letters of `ingest`: publish them again with the time of their first publication.

Like a replay of rejected events, it never replaces a stored event with another body. The attributes of a message come
from outside: an invalid time of first publication is replaced.
"""

from __future__ import annotations

from datetime import UTC, datetime

from google.pubsub_v1.types import PubsubMessage

from infra.batch.dead_letters.pulling import DEAD_LETTER_TIME, original_attributes, pull_batches
from infra.batch.replay import Replay, messages_of, publish_again, stored_events
from infra.batch.subscriber import Subscriber
from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.ingest.pipeline import validate_message
from shared.pubsub.message import FIRST_PUBLISHED, Message, UnpackError, first_valid_time, is_valid_time, unpack
from shared.pubsub.packing import MessageTooLargeError, fit
from shared.pubsub.publisher import Publisher
from shared.validation.results import Accepted, Verdict, rules_broken
from shared.validation.validator import Validator


async def replay_dead_letters(
    subscriber: Subscriber,
    publisher: Publisher,
    bigtable: Bigtable,
    contract: Contract,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
) -> Replay:
    """Publish dead letters again, and acknowledge each after it is published.

    A message with an event that fits into no message isn't acknowledged; its other events are published.

    Args:
        subscriber: pulls from the subscription of the dead-letter topic.
        publisher: publishes to the topics of the project.
        bigtable: the instance with the tables.
        contract: the current contract of the function.
        limit: the most messages to look at.
        dry_run: count the events without publishing or acknowledging.
        overwrite: replace stored events with other bodies, too.
    """
    replay, validator = Replay(), Validator(contract)
    kept_ids: list[str] = []
    async for batch in pull_batches(subscriber, limit):
        replay.looked_at += len(batch)
        originals = [_original(received.message) for received in batch]
        verdicts = [validate_message(validator, _received(message)) for message in originals]
        _count(replay, verdicts)
        selected = [None] * len(originals) if overwrite else await _select(bigtable, originals, verdicts, replay)
        messages, published_ids = list[PubsubMessage](), list[str]()
        for received, original, raws in zip(batch, originals, selected, strict=True):
            of_letter, too_large = _packed(original, raws)
            messages += of_letter
            replay.add_too_large(too_large)
            (kept_ids if dry_run or too_large else published_ids).append(received.ack_id)
        if dry_run:
            continue
        replay.published += await publish_again(publisher, publisher.events_topic, messages)
        if published_ids:
            await subscriber.acknowledge(published_ids)
    if kept_ids:
        await subscriber.nack(kept_ids)
    return replay


def _count(replay: Replay, verdicts: list[list[Verdict]]) -> None:
    for verdict in (verdict for of_message in verdicts for verdict in of_message):
        if isinstance(verdict, Accepted):
            replay.passing += 1
        else:
            replay.failing.update(rules_broken(verdict.findings))


async def _select(
    bigtable: Bigtable, messages: list[PubsubMessage], verdicts: list[list[Verdict]], replay: Replay
) -> list[list[bytes] | None]:
    """Return the events of each message whose cell key has no other body stored; None if that is all of them."""
    accepted = [verdict for of_message in verdicts for verdict in of_message if isinstance(verdict, Accepted)]
    stored = await stored_events(bigtable, accepted)

    def is_other(verdict: Verdict) -> bool:
        return isinstance(verdict, Accepted) and stored.get(verdict.cell_key[:2], verdict.value) != verdict.value

    selected: list[list[bytes] | None] = []
    for message, of_message in zip(messages, verdicts, strict=True):
        if not any(map(is_other, of_message)):
            selected.append(None)
            continue
        raws = [
            raw for raw, verdict in zip(unpack(_received(message)), of_message, strict=True) if not is_other(verdict)
        ]
        replay.left_alone += len(of_message) - len(raws)
        selected.append(raws)
    return selected


def _packed(message: PubsubMessage, raws: list[bytes] | None) -> tuple[list[PubsubMessage], list[bytes]]:
    """Return the messages to publish for a dead letter, and its events that fit into none.

    Args:
        message: the original message.
        raws: the events to publish; None for the message itself, which is split only if it is too large.
    """
    published = message.attributes[FIRST_PUBLISHED]
    if raws is None:
        try:
            data, attributes = fit(message.data, dict(message.attributes))
        except MessageTooLargeError:
            try:
                raws = unpack(_received(message))
            except UnpackError:
                return [], [message.data]
        else:
            return [PubsubMessage(data=data, attributes=attributes, ordering_key=message.ordering_key)], []
    return messages_of((raw, published) for raw in raws)


def _original(message: PubsubMessage) -> PubsubMessage:
    """Return a dead letter as the original message, with a valid time of its first publication."""
    attributes = original_attributes(message.attributes)
    published = datetime.fromtimestamp(message.publish_time.timestamp(), UTC).isoformat()
    candidates = (attributes.get(FIRST_PUBLISHED), message.attributes.get(DEAD_LETTER_TIME), published)
    attributes[FIRST_PUBLISHED] = next(text for text in candidates if text and is_valid_time(text))
    return PubsubMessage(data=message.data, attributes=attributes, ordering_key=message.ordering_key)


def _received(message: PubsubMessage) -> Message:
    """Return a message as the function will receive it."""
    published = first_valid_time(message.attributes[FIRST_PUBLISHED])
    return Message(message.data, message.message_id, published, dict(message.attributes))
