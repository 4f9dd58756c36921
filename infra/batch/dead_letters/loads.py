"""Replay dead letters of `load`: publish the requests for objects and ranges again.

A load is idempotent, so a request that is published twice stores nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

from infra.batch.dead_letters.load_letter import LoadLetter, read_letter
from infra.batch.dead_letters.pulling import original_attributes, pull_batches
from infra.batch.replay import publish_again
from infra.batch.subscriber import Subscriber
from shared.pubsub.publisher import Publisher
from shared.tables.loads import LoadsTable


@dataclass(slots=True)
class LoadReplay:
    """The counts of a replay, or of a dry run.

    Attributes:
        looked_at: dead letters.
        invalid: dead letters that request nothing valid, and stay.
        published: messages.
    """

    looked_at: int = 0
    invalid: int = 0
    published: int = 0

    def lines(self, *, dry_run: bool) -> Iterator[tuple[str, bool]]:
        """Yield the lines that describe the counts, each with whether it is a problem."""
        yield f"{self.looked_at:,} dead letters looked at", False
        if self.invalid:
            yield f"{self.invalid:,} dead letters request no object and stay", True
        yield ("nothing was changed" if dry_run else f"{self.published:,} messages published"), False


async def replay_loads(
    subscriber: Subscriber,
    publisher: Publisher,
    loads: LoadsTable,
    topic: str,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    report: Callable[[LoadLetter], None] = lambda _letter: None,
) -> LoadReplay:
    """Publish dead letters again, and acknowledge each after it is published; an invalid one stays.

    Args:
        subscriber: pulls from the subscription of the dead-letter topic.
        publisher: publishes to the topics of the project.
        loads: the states of loads.
        topic: the name of the topic of `load`.
        limit: the most messages to look at.
        dry_run: report the messages without publishing or acknowledging.
        report: is called with each message before it is published.
    """
    replay = LoadReplay()
    kept_ids: list[str] = []
    async for batch in pull_batches(subscriber, limit):
        letters = await _letters(batch, loads)
        for letter in letters:
            report(letter)
        valid = [received for received, letter in zip(batch, letters, strict=True) if not letter.problem]
        replay.looked_at += len(batch)
        replay.invalid += len(batch) - len(valid)
        published = [] if dry_run else valid
        replay.published += await publish_again(publisher, topic, (_original(each.message) for each in published))
        if published:
            await subscriber.acknowledge([each.ack_id for each in published])
        published_ids = {each.ack_id for each in published}
        kept_ids += [each.ack_id for each in batch if each.ack_id not in published_ids]
    if kept_ids:
        await subscriber.nack(kept_ids)
    return replay


async def _letters(batch: list[ReceivedMessage], loads: LoadsTable) -> list[LoadLetter]:
    """Return what the messages request, with the states of the loads."""
    letters = [read_letter(received.message) for received in batch]
    objects = {letter.request.object for letter in letters if letter.request}
    states = {object: await loads.find(object) for object in objects}
    return [letter._replace(state=states[letter.request.object]) if letter.request else letter for letter in letters]


def _original(message: PubsubMessage) -> PubsubMessage:
    """Return a dead letter as the original message."""
    attributes = original_attributes(message.attributes)
    return PubsubMessage(data=message.data, attributes=attributes, ordering_key=message.ordering_key)
