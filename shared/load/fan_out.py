"""Publishes the requests for ranges. Importing it takes a second; import it where a range is requested."""

from __future__ import annotations

from collections.abc import Sequence

from google.pubsub_v1.types import PubsubMessage

from shared.config import Settings
from shared.pubsub.load_requests import TOPIC, ObjectVersion, range_request
from shared.pubsub.publisher import MAX_MESSAGES_PER_CALL, Publisher


async def request_ranges(settings: Settings, object: ObjectVersion, starts: Sequence[int]) -> None:
    """Publish one message to `load` for each range of an object; raises the errors of `Publisher.publish`."""
    topic = settings.resource(TOPIC)
    messages = [PubsubMessage(attributes=range_request(object, start)) for start in starts]
    async with Publisher(settings) as publisher:
        for first in range(0, len(messages), MAX_MESSAGES_PER_CALL):
            await publisher.publish(topic, messages[first : first + MAX_MESSAGES_PER_CALL])
