"""The function `query`: the read API, which answers GET and HEAD from the tables."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime import query_instance
from shared.runtime.problem_responses import answer
from shared.runtime.worker_timeout import disable_worker_timeout

disable_worker_timeout()


@functions_framework.aio.http
async def query(request: Request) -> Response:
    """Respond with what the tables hold, or with the problem."""
    return await answer(request, lambda: query_instance.query_api().respond(request))
