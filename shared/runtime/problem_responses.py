"""Error responses of the read API: problem details for the client, and a log line for the operator."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from shared.errors import PermanentError, TransientError
from shared.query.problems import RETRY_AFTER, ProblemError
from shared.runtime import logs
from shared.runtime.logs import LogEvent
from shared.runtime.shutdown import SHUTDOWN

_UNAVAILABLE = "Bigtable didn't answer in time, or the instance shuts down; a later request may succeed"
_REFUSED = "the settings, the contract or the roles of the deployment are wrong; the log of the function has the cause"
_UNEXPECTED = "an unexpected error; the log of the function has the cause"


async def answer(request: Request, respond: Callable[[], Awaitable[Response]]) -> Response:
    """Return the response of `respond`, or the problem that its error is to the client.

    The text of an error stays in the log, which has the trace of the request: it may name resources of the deployment.
    """
    logs.add_to_request(logs.request_trace(request.scope["headers"], None))
    try:
        with SHUTDOWN.track():
            return await respond()
    except ProblemError as problem:
        return problem.response()
    except TransientError as error:
        _RATE_LIMITED.warning(type(error), LogEvent.QUERY_FAILED, str(error))
        retry = {"retry-after": str(RETRY_AFTER)}
        return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, _UNAVAILABLE, headers=retry).response()
    except PermanentError as error:
        logs.error(LogEvent.QUERY_FAILED, str(error))
        return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, _REFUSED).response()
    except Exception:
        logs.error(LogEvent.UNEXPECTED_ERROR, traceback.format_exc())
        return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, _UNEXPECTED).response()


# During an outage every request fails for the same reason.
_RATE_LIMITED = logs.RateLimitedLog()
