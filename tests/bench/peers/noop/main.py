"""The limit: what functions-framework itself takes for a request that nothing is done with."""

import functions_framework.aio
from cloudevents.http import CloudEvent


@functions_framework.aio.cloud_event
async def noop(event: CloudEvent) -> None:
    """Answer."""
