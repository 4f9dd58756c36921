"""The function `aggregate`: compute the day that a message requests, or request each of several days separately."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime import aggregate_instance, logs
from shared.runtime.cloud_events import ACKNOWLEDGED, receive
from shared.runtime.responses import error_responses
from shared.runtime.worker_timeout import disable_worker_timeout

disable_worker_timeout()


# `http`, not `cloud_event`: Pub/Sub pushes messages as plain JSON.
@functions_framework.aio.http
async def aggregate(request: Request) -> Response:
    """Respond 2xx once the requested day is readable, its Dataflow job launched, or each of several days requested."""
    message = await receive(request)
    with error_responses(message, request) as log_fields:
        pipeline = aggregate_instance.aggregate_pipeline()
        logs.add_to_request(logs.request_trace(request.scope["headers"], message.traceparent))
        match await pipeline.days(message):
            case [day]:
                log_fields["day"] = day
                await aggregate_instance.run_day(pipeline, day)
            case []:  # another run has answered the request
                pass
            case days:
                await aggregate_instance.request_days(days)
    return ACKNOWLEDGED
