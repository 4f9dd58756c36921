"""Pull dead letters, and restore the attributes of the original messages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from google.pubsub_v1.types import ReceivedMessage

from infra.batch.subscriber import Subscriber

_BATCH_SIZE = 100  # messages per call
# The prefix of the attributes that Pub/Sub adds to a message when it forwards it to a dead-letter topic.
_DEAD_LETTER = "CloudPubSubDeadLetterSource"
DEAD_LETTER_TIME = f"{_DEAD_LETTER}TopicPublishTime"


async def pull_batches(subscriber: Subscriber, limit: int | None) -> AsyncGenerator[list[ReceivedMessage]]:
    """Yield the kept messages in batches, at most `limit` messages, until none is left."""
    count = 0
    while limit is None or count < limit:
        batch = await subscriber.pull(_BATCH_SIZE if limit is None else min(_BATCH_SIZE, limit - count))
        if not batch:
            return
        count += len(batch)
        yield batch


def original_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of a dead letter without those that Pub/Sub added."""
    return {name: text for name, text in attributes.items() if not name.startswith(_DEAD_LETTER)}
