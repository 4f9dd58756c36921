"""Errors become statuses that make Pub/Sub redeliver, and one log line each."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime

import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared import errors
from shared.pubsub.message import Message
from shared.runtime import logs, responses, shutdown
from shared.runtime.responses import error_responses

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MESSAGE = Message(b"", "77", datetime.now(UTC))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "SHUTDOWN", shutdown.Shutdown())
    monkeypatch.setattr(responses, "_RATE_LIMITED", logs.RateLimitedLog())


@pytest.mark.parametrize(
    ("error", "status", "severity"),
    [
        (errors.OverloadedError("32 MB are waiting"), 429, "WARNING"),
        (errors.StoreUnavailableError("not acknowledged"), 503, "WARNING"),
        (errors.TransientError("later"), 503, "WARNING"),
        (errors.StoreRefusedError("no such table"), 500, "ERROR"),
        (errors.ContractError("wrong contract"), 500, "ERROR"),
        (errors.SettingsError("no project"), 500, "ERROR"),
        (errors.LayoutChangedError("moved"), 500, "ERROR"),
        (errors.PermanentError("never"), 500, "ERROR"),
    ],
)
async def test_an_error_becomes_a_response_and_a_log_line(
    error: Exception, status: int, severity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(HTTPException) as caught, error_responses(MESSAGE):
        raise error

    assert caught.value.status_code == status
    assert str(error) not in caught.value.detail  # the caller learns no detail
    assert json.loads(capsys.readouterr().out) == {
        "severity": severity,
        "event": "message_failed",
        "message": str(error),
        "message_id": "77",
    }


async def test_an_impossible_aggregate_request_is_logged_and_acknowledged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with error_responses(MESSAGE):
        raise errors.RequestError("no such day")

    assert json.loads(capsys.readouterr().out) == {
        "severity": "ERROR",
        "event": "message_failed",
        "message": "no such day",
        "message_id": "77",
    }


async def test_success_logs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with error_responses(MESSAGE):
        pass

    assert capsys.readouterr().out == ""


def fail_at(day: date, error: Exception) -> None:
    with error_responses(MESSAGE) as log_fields:
        log_fields["day"] = day
        raise error


async def test_an_unexpected_error_is_logged_with_its_message_and_propagates(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_at(date(2024, 1, 15), ZeroDivisionError())

    assert json.loads(capsys.readouterr().out) == {
        "severity": "ERROR",
        "event": "unexpected_error",
        "message": "unexpected ZeroDivisionError; the traceback follows",
        "message_id": "77",
        "day": "2024-01-15",
    }


async def test_each_failing_day_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    for day in (15, 16, 15):
        with pytest.raises(HTTPException):
            fail_at(date(2024, 1, day), errors.StoreUnavailableError("away"))

    assert [json.loads(line)["day"] for line in capsys.readouterr().out.splitlines()] == ["2024-01-15", "2024-01-16"]


async def test_a_request_cancelled_by_shutdown_is_redelivered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def serve() -> None:
        with error_responses(MESSAGE):
            await asyncio.Event().wait()

    request = asyncio.create_task(serve())
    await asyncio.sleep(0)
    request.cancel()  # a cancellation by any other code propagates
    with pytest.raises(asyncio.CancelledError):
        await request

    request = asyncio.create_task(serve())
    await asyncio.sleep(0)
    responses.SHUTDOWN.cancel_requests()
    with pytest.raises(HTTPException) as caught:
        await request

    assert caught.value.status_code == 503
    assert json.loads(capsys.readouterr().out)["message"] == "the instance shuts down before the message is stored"


async def test_a_line_is_part_of_the_messages_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HTTPException), error_responses(msgspec.structs.replace(MESSAGE, traceparent=TRACEPARENT)):
        raise errors.TransientError("later")

    line = json.loads(capsys.readouterr().out)
    assert line["logging.googleapis.com/trace"] == "projects//traces/4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_line_is_part_of_the_requests_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Its request in Cloud Run's request log has this trace."""
    of_request = TRACEPARENT.replace("4bf9", "ffff")
    request = Request({"type": "http", "headers": [(b"traceparent", of_request.encode())]})
    message = msgspec.structs.replace(MESSAGE, traceparent=TRACEPARENT)
    with pytest.raises(HTTPException), error_responses(message, request):
        raise errors.PermanentError("refused")

    line = json.loads(capsys.readouterr().out)
    assert line["logging.googleapis.com/trace"] == "projects//traces/ffff2f3577b34da6a3ce929d0e0e4736"
    assert line["message_trace"] == "projects//traces/4bf92f3577b34da6a3ce929d0e0e4736"


async def test_an_outage_logs_one_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(100):
        with pytest.raises(HTTPException), error_responses(MESSAGE):
            raise errors.TransientError("later")
    with pytest.raises(HTTPException), error_responses(MESSAGE):
        raise errors.OverloadedError("full")

    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["later", "full"]
