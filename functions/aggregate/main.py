"""Compute days: the ones a message names, or yesterday and the days that late events have touched since."""

import functions_framework.aio
from cloudevents.http import CloudEvent

from shared import envelope, instance
from shared.answers import answering


@functions_framework.aio.cloud_event
async def aggregate(event: CloudEvent) -> None:
    """Answer 2xx once every day that is asked for is computed and readable."""
    message = envelope.receive(event.data, event.get_attributes())
    with answering(message):
        aggregation = instance.aggregation()
        for day in await aggregation.days(message):
            await aggregation.run(day)
