"""The retry policy: which errors are transient, and the waits between attempts."""

from __future__ import annotations

import random
from collections.abc import Iterator

from grpc import StatusCode

from shared.bigtable.transport import CallError
from shared.errors import SluiceError, StoreRefusedError, StoreUnavailableError

_TRANSIENT = {
    StatusCode.UNAVAILABLE,  # includes lost connections
    StatusCode.INTERNAL,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.ABORTED,
}

# Seconds. The first wait is about one round trip. The limit bounds the time between the end of an outage and a retry.
INITIAL_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.05, 5.0

# The largest share of a deadline that one wait takes, so that the last attempt is close to the deadline.
_MAX_WAIT_SHARE = 0.1


def is_transient(error: Exception) -> bool:
    """Return whether a retry may succeed; an error below gRPC is a ConnectionError."""
    return error.code in _TRANSIENT if isinstance(error, CallError) else isinstance(error, ConnectionError)


def waits(deadline: float) -> Iterator[float]:
    """Yield the seconds to wait between attempts: random, up to a bound that doubles each time.

    Args:
        deadline: seconds of all attempts together.
    """
    longest = min(MAX_WAIT_SECONDS, deadline * _MAX_WAIT_SHARE)
    bound = INITIAL_WAIT_SECONDS
    while True:
        yield random.uniform(0, min(bound, longest))  # noqa: S311 - jitter, no secret
        bound = min(bound * 2, MAX_WAIT_SECONDS)


def translate(error: Exception, doing: str) -> SluiceError:
    """Return the project's error for the error of a call.

    Args:
        error: of the call.
        doing: what failed, such as "writing to table events".
    """
    kind = type(error).__name__
    text = f"{doing}: {error}" if isinstance(error, CallError) else f"{doing}: {kind}: {str(error) or kind}"
    return StoreUnavailableError(text) if is_transient(error) else StoreRefusedError(text)
