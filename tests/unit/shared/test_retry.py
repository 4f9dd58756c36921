"""What another try may mend is tried again, at growing intervals; what it can't is told at once."""

from __future__ import annotations

import itertools

import pytest
from google.api_core import exceptions

from shared import retry
from shared.errors import StoreRefusedError, StoreUnavailableError


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServiceUnavailable("x"),
        exceptions.InternalServerError("x"),
        exceptions.DeadlineExceeded("x"),
        exceptions.TooManyRequests("x"),
        exceptions.ResourceExhausted("x"),
        exceptions.Aborted("x"),
        ConnectionResetError("x"),
        BrokenPipeError("x"),
    ],
)
def test_what_another_try_may_mend(error: Exception) -> None:
    assert retry.is_transient(error)
    assert isinstance(retry.translated(error, "writing"), StoreUnavailableError)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.NotFound("x"),
        exceptions.PermissionDenied("x"),
        exceptions.Unauthenticated("x"),
        exceptions.InvalidArgument("x"),
        exceptions.FailedPrecondition("x"),
        exceptions.Unknown("x"),
        ValueError("x"),
    ],
)
def test_what_no_try_will_mend(error: Exception) -> None:
    assert not retry.is_transient(error)
    assert isinstance(retry.translated(error, "writing"), StoreRefusedError)


def test_waits_double_up_to_the_longest_and_are_never_the_same() -> None:
    tries = [list(itertools.islice(retry.waits(), 12)) for _ in range(50)]

    for number, waited in enumerate(zip(*tries, strict=True)):
        bound = min(retry.FIRST_WAIT * 2**number, retry.LONGEST_WAIT)
        assert all(0 <= wait <= bound for wait in waited)
        assert max(waited) > bound / 2  # the chance that fifty of them are below it is 2**-50
        assert len(set(waited)) > 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (exceptions.NotFound("no table"), "writing to table events: NotFound: no table"),
        (exceptions.ServiceUnavailable(""), "writing to table events: ServiceUnavailable: 503 "),
        (ConnectionResetError("gone"), "writing to table events: ConnectionResetError: gone"),
        (ConnectionResetError(), "writing to table events: ConnectionResetError: ConnectionResetError"),
        (
            exceptions.RetryError("in time", exceptions.Aborted("busy")),
            "writing to table events: Aborted: busy",
        ),
        (exceptions.RetryError("in time", None), "writing to table events: RetryError: in time"),
    ],
)
def test_errors_tell_what_was_done_and_what_happened(error: Exception, text: str) -> None:
    assert str(retry.translated(error, "writing to table events")) == text


def test_a_retry_that_ran_out_of_time_may_be_tried_later() -> None:
    cause = exceptions.NotFound("x")

    assert isinstance(retry.translated(exceptions.RetryError("in time", cause), "writing"), StoreUnavailableError)


async def test_a_whole_call_is_tried_again_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0001)
    outcomes = iter([exceptions.Aborted("x"), ConnectionResetError("x"), "done"])

    async def call() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert await retry.until(5)(call)() == "done"


async def test_a_whole_call_is_not_tried_again_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise exceptions.NotFound("x")

    with pytest.raises(exceptions.NotFound):
        await retry.until(5)(call)()
    assert calls == 1
