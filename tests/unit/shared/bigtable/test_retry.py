"""What another try may mend is tried again, at growing intervals; what it can't is told at once."""

from __future__ import annotations

import itertools

import pytest
from grpc import StatusCode

from shared.bigtable import retry
from shared.bigtable.transport import CallError
from shared.errors import StoreRefusedError, StoreUnavailableError


@pytest.mark.parametrize(
    "error",
    [
        CallError(StatusCode.UNAVAILABLE, "x"),
        CallError(StatusCode.INTERNAL, "x"),
        CallError(StatusCode.DEADLINE_EXCEEDED, "x"),
        CallError(StatusCode.RESOURCE_EXHAUSTED, "x"),
        CallError(StatusCode.ABORTED, "x"),
        ConnectionResetError("x"),
        BrokenPipeError("x"),
    ],
)
def test_what_another_try_may_mend(error: Exception) -> None:
    assert retry.is_transient(error)
    assert isinstance(retry.translate(error, "writing"), StoreUnavailableError)


@pytest.mark.parametrize(
    "error",
    [
        CallError(StatusCode.NOT_FOUND, "x"),
        CallError(StatusCode.PERMISSION_DENIED, "x"),
        CallError(StatusCode.UNAUTHENTICATED, "x"),
        CallError(StatusCode.INVALID_ARGUMENT, "x"),
        CallError(StatusCode.FAILED_PRECONDITION, "x"),
        CallError(StatusCode.UNKNOWN, "x"),
        ValueError("x"),
    ],
)
def test_what_no_try_will_mend(error: Exception) -> None:
    assert not retry.is_transient(error)
    assert isinstance(retry.translate(error, "writing"), StoreRefusedError)


def test_waits_double_up_to_the_longest_and_are_never_the_same() -> None:
    tries = [list(itertools.islice(retry.waits(60), 12)) for _ in range(50)]

    for number, waited in enumerate(zip(*tries, strict=True)):
        bound = min(retry.INITIAL_WAIT_SECONDS * 2**number, retry.MAX_WAIT_SECONDS)
        assert all(0 <= wait <= bound for wait in waited)
        assert max(waited) > bound / 2  # the chance that fifty of them are below it is 2**-50
        assert len(set(waited)) > 1


def test_a_short_deadline_has_short_waits() -> None:
    tries = [next(itertools.islice(retry.waits(3), 12, None)) for _ in range(50)]

    assert 0.15 < max(tries) <= 0.3


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CallError(StatusCode.NOT_FOUND, "no table"), "writing to table events: NOT_FOUND: no table"),
        (ConnectionResetError("gone"), "writing to table events: ConnectionResetError: gone"),
        (ConnectionResetError(), "writing to table events: ConnectionResetError: ConnectionResetError"),
    ],
)
def test_errors_tell_what_was_done_and_what_happened(error: Exception, text: str) -> None:
    assert str(retry.translate(error, "writing to table events")) == text
