"""The function `load`: receive the notification of an object or the request for a range of it, store its events."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime import load_instance
from shared.runtime.cloud_events import ACKNOWLEDGED, receive
from shared.runtime.responses import error_responses
from shared.runtime.worker_timeout import disable_worker_timeout

disable_worker_timeout()


# `http`, not `cloud_event`: Pub/Sub pushes messages as plain JSON.
@functions_framework.aio.http
async def load(request: Request) -> Response:
    """Respond 2xx once the events are stored, the ranges requested, or the failure of the object recorded."""
    message = await receive(request)
    with error_responses(message, request):
        await load_instance.load_pipeline().process(message)
    return ACKNOWLEDGED
