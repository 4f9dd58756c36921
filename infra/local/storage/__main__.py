"""Announce the new objects of a bucket on the topic of `load`, as Cloud Storage does."""

from __future__ import annotations

import asyncio
import sys

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

from google.pubsub_v1.types import PubsubMessage

from infra.local.storage.bucket import Bucket
from shared.config import Settings
from shared.errors import StoreUnavailableError
from shared.pubsub.load_requests import TOPIC, ObjectVersion, notification
from shared.pubsub.publisher import MAX_MESSAGES_PER_CALL, Publisher

_POLL_SECONDS = 0.5


async def announce_objects(settings: Settings, bucket: Bucket, *, poll_seconds: float = _POLL_SECONDS) -> None:
    """Publish a notification for each object of a bucket, and then for each new one.

    All objects are announced after a restart; those that are loaded change nothing.
    """
    announced: set[ObjectVersion] = set()
    async with Publisher(settings) as publisher:
        while True:
            objects = await asyncio.to_thread(bucket.objects)
            new = [each for each in objects if each not in announced][:MAX_MESSAGES_PER_CALL]
            if new:
                messages = [PubsubMessage(attributes=notification(each)) for each in new]
                try:
                    await publisher.publish(settings.resource(TOPIC), messages)
                    announced.update(new)
                except StoreUnavailableError as error:
                    print(error, flush=True)  # the log of this process; the next round tries again
            announced.intersection_update(objects)
            await asyncio.sleep(poll_seconds)


if __name__ == "__main__":
    settings = Settings.from_environment()
    asyncio.run(announce_objects(settings, Bucket(settings, sys.argv[1])))
