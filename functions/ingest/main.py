"""The function `ingest`: receive a message, unpack it, validate its events, store them, acknowledge the message."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime import ingest_instance
from shared.runtime.cloud_events import ACKNOWLEDGED, receive
from shared.runtime.responses import error_responses
from shared.runtime.worker_timeout import disable_worker_timeout

disable_worker_timeout()


# `http`, not `cloud_event`: Pub/Sub pushes messages as plain JSON.
@functions_framework.aio.http
async def ingest(request: Request) -> Response:
    """Respond 2xx once Bigtable has acknowledged every event of the message, accepted or rejected."""
    message = await receive(request)
    with error_responses(message, request):
        await ingest_instance.ingest_pipeline().process(message)
    return ACKNOWLEDGED
