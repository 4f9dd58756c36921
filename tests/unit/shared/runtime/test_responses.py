"""Our errors become the statuses that make Pub/Sub deliver again, and one log line each."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime

import msgspec
import pytest
from starlette.exceptions import HTTPException

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
async def test_errors_become_answers(
    error: Exception, status: int, severity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(HTTPException) as caught, error_responses(MESSAGE):
        raise error

    assert caught.value.status_code == status
    assert str(error) not in caught.value.detail  # who posts is told no more than has to be
    assert json.loads(capsys.readouterr().out) == {"severity": severity, "message": str(error), "message_id": "77"}


async def test_a_request_for_nothing_that_could_be_done_is_logged_and_acknowledged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with error_responses(MESSAGE):
        raise errors.RequestError("no such day")

    assert json.loads(capsys.readouterr().out) == {"severity": "ERROR", "message": "no such day", "message_id": "77"}


async def test_success_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with error_responses(MESSAGE):
        pass

    assert capsys.readouterr().out == ""


def fail_at(day: date, error: Exception) -> None:
    with error_responses(MESSAGE) as told:
        told["day"] = day
        raise error


async def test_a_bug_stays_one_and_the_line_before_its_traceback_says_of_what(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_at(date(2024, 1, 15), ZeroDivisionError())

    assert json.loads(capsys.readouterr().out) == {
        "severity": "ERROR",
        "message": "a bug: ZeroDivisionError; the traceback follows",
        "message_id": "77",
        "day": "2024-01-15",
    }


async def test_of_each_day_that_fails_at_once_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for day in (15, 16, 15):
        with pytest.raises(HTTPException):
            fail_at(date(2024, 1, day), errors.StoreUnavailableError("away"))

    assert [json.loads(line)["day"] for line in capsys.readouterr().out.splitlines()] == ["2024-01-15", "2024-01-16"]


async def test_what_is_called_off_at_the_end_is_delivered_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def serve() -> None:
        with error_responses(MESSAGE):
            await asyncio.Event().wait()

    request = asyncio.create_task(serve())
    await asyncio.sleep(0)
    request.cancel()  # by anybody else, it stays what it is
    with pytest.raises(asyncio.CancelledError):
        await request

    request = asyncio.create_task(serve())
    await asyncio.sleep(0)
    responses.SHUTDOWN.hand_back()
    with pytest.raises(HTTPException) as caught:
        await request

    assert caught.value.status_code == 503
    assert json.loads(capsys.readouterr().out)["message"] == "the instance ends before this is done"


async def test_a_line_is_part_of_the_messages_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HTTPException), error_responses(msgspec.structs.replace(MESSAGE, traceparent=TRACEPARENT)):
        raise errors.TransientError("later")

    line = json.loads(capsys.readouterr().out)
    assert line["logging.googleapis.com/trace"] == "projects//traces/4bf92f3577b34da6a3ce929d0e0e4736"


async def test_in_an_outage_not_every_message_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(100):
        with pytest.raises(HTTPException), error_responses(MESSAGE):
            raise errors.TransientError("later")
    with pytest.raises(HTTPException), error_responses(MESSAGE):
        raise errors.OverloadedError("full")

    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["later", "full"]
