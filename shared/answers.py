"""What a function answers when it fails: a status that makes Pub/Sub deliver again, and one clear log line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.exceptions import HTTPException

from shared import logs
from shared.ending import ENDING
from shared.envelope import Message
from shared.errors import OverloadedError, PermanentError, RequestError, TransientError


@contextmanager
def answering(message: Message) -> Iterator[None]:
    """Turn our errors into answers; nothing is acknowledged that isn't stored.

    An `HTTPException` reaches the caller with its status, where any other exception would log a traceback as well.

    Args:
        message: being worked on; the log line names it.

    Raises:
        HTTPException: 429 for more than this instance can hold, 503 for what another try may mend, 500 for what needs
            a person first. Pub/Sub delivers the message again after each. A request that asks for nothing that could
            be done is logged and acknowledged.
    """
    try:
        with ENDING.watching():
            yield
    except OverloadedError as error:
        _SELDOM.warning(429, str(error), **_about(message))
        raise HTTPException(429, "too much at once") from error
    except TransientError as error:
        _SELDOM.warning(503, str(error), **_about(message))
        raise HTTPException(503, "not stored yet") from error
    except RequestError as error:
        # No delivery would make it right, and nothing is lost by letting it go.
        logs.error(str(error), **_about(message))
    except PermanentError as error:
        logs.error(str(error), **_about(message))
        raise HTTPException(500, "refused") from error


def _about(message: Message) -> dict[str, Any]:
    return {"message_id": message.message_id, **logs.trace(message.traceparent)}


# In an outage every message fails, and each for the same reason.
_SELDOM = logs.Seldom()
