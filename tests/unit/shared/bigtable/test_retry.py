"""The retry policy: transient and permanent errors, waits, and error texts."""

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
def test_transient_errors(error: Exception) -> None:
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
def test_permanent_errors(error: Exception) -> None:
    assert not retry.is_transient(error)
    assert isinstance(retry.translate(error, "writing"), StoreRefusedError)


def test_waits_are_random_up_to_a_bound_that_doubles() -> None:
    attempts = [list(itertools.islice(retry.waits(60), 12)) for _ in range(50)]

    for number, waited in enumerate(zip(*attempts, strict=True)):
        bound = min(retry.INITIAL_WAIT_SECONDS * 2**number, retry.MAX_WAIT_SECONDS)
        assert all(0 <= wait <= bound for wait in waited)
        assert max(waited) > bound / 2  # false with a probability of 2**-50
        assert len(set(waited)) > 1


def test_a_short_deadline_has_short_waits() -> None:
    attempts = [next(itertools.islice(retry.waits(3), 12, None)) for _ in range(50)]

    assert 0.15 < max(attempts) <= 0.3


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CallError(StatusCode.NOT_FOUND, "no table"), "writing to table events: NOT_FOUND: no table"),
        (ConnectionResetError("gone"), "writing to table events: ConnectionResetError: gone"),
        (ConnectionResetError(), "writing to table events: ConnectionResetError: ConnectionResetError"),
    ],
)
def test_error_texts_name_the_action_and_the_cause(error: Exception, text: str) -> None:
    assert str(retry.translate(error, "writing to table events")) == text
