"""Which errors of calls another try may mend, and how long to wait before it."""

from __future__ import annotations

import random
from collections.abc import Iterator

from grpc import StatusCode

from shared.bigtable.transport import CallError
from shared.errors import SluiceError, StoreRefusedError, StoreUnavailableError

_TRANSIENT = {
    StatusCode.UNAVAILABLE,  # a lost connection, too
    StatusCode.INTERNAL,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.ABORTED,
}

# Seconds. The first wait is about one round trip; five seconds at most, so that the end of an outage is noticed soon.
INITIAL_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.05, 5.0

# At most that share of a deadline is waited at once, so that the last try isn't long before its end.
_SHARE = 0.1


def is_transient(error: Exception) -> bool:
    """Return whether another try may succeed; what fails below gRPC is a ConnectionError."""
    return error.code in _TRANSIENT if isinstance(error, CallError) else isinstance(error, ConnectionError)


def waits(deadline: float) -> Iterator[float]:
    """Yield the waits between tries, in seconds: at random, up to a bound that doubles each time.

    Args:
        deadline: seconds until trying ends.
    """
    longest = min(MAX_WAIT_SECONDS, deadline * _SHARE)
    bound = INITIAL_WAIT_SECONDS
    while True:
        yield random.uniform(0, min(bound, longest))  # noqa: S311 - jitter, no secret
        bound = min(bound * 2, MAX_WAIT_SECONDS)


def translated(error: Exception, doing: str) -> SluiceError:
    """Return an error as one of ours.

    Args:
        error: what happened.
        doing: what was being done, such as "writing to table events".
    """
    kind = type(error).__name__
    text = f"{doing}: {error}" if isinstance(error, CallError) else f"{doing}: {kind}: {str(error) or kind}"
    return StoreUnavailableError(text) if is_transient(error) else StoreRefusedError(text)
