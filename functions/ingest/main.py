"""Store the events of a message: unpack → transform → check → place → store; what fails a check is kept apart."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime import instance
from shared.runtime.cloud_events import ACKNOWLEDGED, receive
from shared.runtime.responses import error_responses


# `http`, not `cloud_event`: a CloudEvent is an HTTP request, and shared/deliveries.py reads it at less cost.
@functions_framework.aio.http
async def ingest(request: Request) -> Response:
    """Answer 2xx once every event of the message is in `events` or in `rejected`, and never before."""
    message = await receive(request)
    with error_responses(message):
        await instance.ingestion().take(message)
    return ACKNOWLEDGED
