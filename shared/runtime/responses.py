"""Error responses of a function: a status that makes Pub/Sub redeliver, and one log line that names the message."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared.errors import OverloadedError, PermanentError, RequestError, StoreUnavailableError, TransientError
from shared.pubsub.message import Message
from shared.runtime import logs
from shared.runtime.logs import LogEvent
from shared.runtime.shutdown import SHUTDOWN


class error_responses:  # noqa: N801 - used like a function
    """A context manager that turns errors of the project into HTTP responses; only stored messages are acknowledged.

    An `HTTPException` reaches the caller with its status. Any other exception would also log a traceback.

    Entering returns the fields of the log line, besides those of the message; the block may add to them.

    Raises:
        HTTPException: 429 if the instance is at capacity, 503 for a transient error, 500 for an error that needs an
            operator. Pub/Sub redelivers after each. An impossible aggregate request is logged and acknowledged.
    """

    def __init__(self, message: Message, http_request: Request | None = None) -> None:
        """Prepare for a message.

        Args:
            message: the message of the request.
            http_request: the request, whose headers have a trace. They are read only for a log line.
        """
        self._message = message
        self._http_request = http_request
        self._log_fields: dict[str, Any] = {}
        self._request = SHUTDOWN.track()

    def __enter__(self) -> dict[str, Any]:
        self._request.__enter__()
        return self._log_fields

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        try:
            self._request.__exit__(kind, error, trace)
        except StoreUnavailableError as cancelled:
            error = cancelled
        return error is not None and self._respond(error)

    def _respond(self, error: BaseException) -> bool:
        """Log an error and raise its response; return True if the message is acknowledged despite it."""
        fields = self._all_fields()
        if isinstance(error, TransientError):
            overloaded = isinstance(error, OverloadedError)
            status, detail = (429, "the instance is at capacity") if overloaded else (503, "not stored yet")
            kind = (status, *self._log_fields.values())
            _RATE_LIMITED.warning(kind, LogEvent.MESSAGE_FAILED, str(error), **fields)
            raise HTTPException(status, detail) from error
        if isinstance(error, PermanentError):
            logs.error(LogEvent.MESSAGE_FAILED, str(error), **fields)
            if not isinstance(error, RequestError):
                raise HTTPException(500, "refused") from error
            return True  # a redelivery would fail in the same way, and nothing is lost
        if isinstance(error, Exception):
            # The framework logs the traceback without the message's id.
            text = f"unexpected {type(error).__name__}; the traceback follows"
            logs.error(LogEvent.UNEXPECTED_ERROR, text, **fields)
        return False

    def _all_fields(self) -> dict[str, Any]:
        message, request = self._message, self._http_request
        headers = request.scope["headers"] if request else ()
        trace = logs.request_trace(headers, message.traceparent)
        return {"message_id": message.message_id, **self._log_fields, **trace}


# During an outage every message fails for the same reason. Lines of aggregate requests are limited per day.
_RATE_LIMITED = logs.RateLimitedLog()
