"""Which errors of Google's clients another try may mend, and how long to wait before it."""

from __future__ import annotations

from collections.abc import Iterator

from google.api_core import exceptions
from google.api_core.retry import AsyncRetry, exponential_sleep_generator, if_exception_type

from shared.errors import SluiceError, StoreRefusedError, StoreUnavailableError

# gRPC reports a lost connection as UNAVAILABLE; ConnectionError covers what fails below it, such as fetching a token.
is_transient = if_exception_type(
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.DeadlineExceeded,
    exceptions.TooManyRequests,
    exceptions.Aborted,
    ConnectionError,
)

# Seconds. The first wait is about one round trip; five seconds at most, so that the end of an outage is noticed soon.
FIRST_WAIT, LONGEST_WAIT = 0.05, 5.0


def waits() -> Iterator[float]:
    """Return the waits between tries, in seconds: each about twice the one before, with jitter."""
    generator: Iterator[float] = exponential_sleep_generator(FIRST_WAIT, LONGEST_WAIT)
    return generator


def until(deadline: float) -> AsyncRetry:
    """Return the retry for a whole call, ending after `deadline` seconds."""
    return AsyncRetry(is_transient, initial=FIRST_WAIT, maximum=LONGEST_WAIT, timeout=deadline)


def translated(error: Exception, doing: str) -> SluiceError:
    """Return an error of Google's clients as one of ours.

    Args:
        error: what happened.
        doing: what was being done, such as "writing to table events".
    """
    cause = error.cause if isinstance(error, exceptions.RetryError) and error.cause else error
    reason = getattr(cause, "message", None) or str(cause) or type(cause).__name__
    text = f"{doing}: {type(cause).__name__}: {reason}"
    if isinstance(error, exceptions.RetryError) or is_transient(error):
        return StoreUnavailableError(text)
    return StoreRefusedError(text)
