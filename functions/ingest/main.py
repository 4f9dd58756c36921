"""Store the events of a message: unpack → transform → check → place → store; what fails a check is kept apart."""

import functions_framework.aio
from cloudevents.http import CloudEvent

from shared import envelope, instance
from shared.answers import answering


@functions_framework.aio.cloud_event
async def ingest(event: CloudEvent) -> None:
    """Answer 2xx once every event of the message is in `events` or in `rejected`, and never before."""
    message = envelope.receive(event.data, event.get_attributes())
    with answering(message):
        await instance.ingestion().take(message)
