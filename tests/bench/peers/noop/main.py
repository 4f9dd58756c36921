"""The limit of requests: a function that does nothing under functions-framework."""

import functions_framework.aio
from cloudevents.http import CloudEvent


@functions_framework.aio.cloud_event
async def noop(event: CloudEvent) -> None:
    """Do nothing."""
