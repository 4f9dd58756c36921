"""Compute the day that a message asks for; where it asks for several, ask for each by a message of its own."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime import instance
from shared.runtime.cloud_events import ACKNOWLEDGED, receive
from shared.runtime.responses import error_responses


# `http`, not `cloud_event`: a CloudEvent is an HTTP request, and shared/deliveries.py reads it at less cost.
@functions_framework.aio.http
async def aggregate(request: Request) -> Response:
    """Answer 2xx once the day that is asked for is computed and readable, or every one of several is asked for."""
    message = await receive(request)
    with error_responses(message) as told:
        aggregation = instance.aggregation()
        match await aggregation.days(message):
            case [day]:
                told["day"] = day
                await aggregation.run(day)
            case days:
                await instance.request_days(days)
    return ACKNOWLEDGED
