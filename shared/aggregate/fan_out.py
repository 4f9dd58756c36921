"""Request several days, each by its own message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from google.pubsub_v1.types import PubsubMessage

from shared.aggregate import day_requests
from shared.config import Settings
from shared.pubsub.publisher import MAX_MESSAGES_PER_CALL, Publisher


async def request_days(settings: Settings, days: Sequence[date]) -> None:
    """Publish one message to `aggregate` for each day; raises the errors of `Publisher.publish`.

    An event function may run for 540 s, which is enough for one day, and a failing day delays no other.
    """
    topic = settings.resource(day_requests.TOPIC)
    messages = [PubsubMessage(data=day_requests.request_for(day)) for day in days]
    async with Publisher(settings) as publisher:
        for start in range(0, len(messages), MAX_MESSAGES_PER_CALL):
            await publisher.publish(topic, messages[start : start + MAX_MESSAGES_PER_CALL])
