"""Compute days: the ones a message names, or those that are due: yesterday, late ones and missed ones."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import instance
from shared.answers import answering
from shared.deliveries import ACKNOWLEDGED, receive


# `http`, not `cloud_event`: a CloudEvent is an HTTP request, and shared/deliveries.py reads it at less cost.
@functions_framework.aio.http
async def aggregate(request: Request) -> Response:
    """Answer 2xx once every day that is asked for is computed and readable."""
    message = await receive(request)
    with answering(message):
        aggregation = instance.aggregation()
        for day in await aggregation.days(message):
            await aggregation.run(day)
    return ACKNOWLEDGED
