"""What a function answers when it fails: a status that makes Pub/Sub deliver again, and one clear log line."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException

from shared.errors import OverloadedError, PermanentError, RequestError, StoreUnavailableError, TransientError
from shared.pubsub.message import Message
from shared.runtime import logs
from shared.runtime.shutdown import SHUTDOWN


class error_responses:  # noqa: N801 - used like a function
    """Turn our errors, in a `with` block, into answers; nothing is acknowledged that isn't stored.

    An `HTTPException` reaches the caller with its status, where any other exception would log a traceback as well.

    The block is given the fields that its line in the log has besides those of the message, to add to.

    Raises:
        HTTPException: 429 for more than this instance can hold, 503 for what another try may mend, 500 for what needs
            a person first. Pub/Sub delivers the message again after each. A request that asks for nothing that could
            be done is logged and acknowledged.
    """

    def __init__(self, message: Message) -> None:
        """Prepare for a message; the log line names it."""
        self._message = message
        self._told: dict[str, Any] = {}
        self._watch = SHUTDOWN.watching()

    def __enter__(self) -> dict[str, Any]:
        self._watch.__enter__()
        return self._told

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        try:
            self._watch.__exit__(kind, error, trace)
        except StoreUnavailableError as ended:
            error = ended
        return error is not None and self._answer(error)

    def _answer(self, error: BaseException) -> bool:
        """Answer an error of ours; returns whether the message is done with all the same."""
        if isinstance(error, OverloadedError):
            _RATE_LIMITED.warning((429, *self._told.values()), str(error), **self._about())
            raise HTTPException(429, "too much at once") from error
        if isinstance(error, TransientError):
            _RATE_LIMITED.warning((503, *self._told.values()), str(error), **self._about())
            raise HTTPException(503, "not stored yet") from error
        if isinstance(error, PermanentError):
            logs.error(str(error), **self._about())
            if not isinstance(error, RequestError):
                raise HTTPException(500, "refused") from error
            return True  # no delivery would make it right, and nothing is lost by letting it go
        if isinstance(error, Exception):
            # The framework logs the traceback, which doesn't say of what.
            logs.error(f"a bug: {type(error).__name__}; the traceback follows", **self._about())
        return False

    def _about(self) -> dict[str, Any]:
        message = self._message
        return {"message_id": message.message_id, **self._told, **logs.trace(message.traceparent)}


# In an outage every message fails, and each for the same reason; but of each day it is told.
_RATE_LIMITED = logs.RateLimitedLog()
