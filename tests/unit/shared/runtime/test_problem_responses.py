"""Errors of the read API: the client gets a problem, the log gets the cause."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from shared.errors import ContractError, StoreRefusedError, StoreUnavailableError
from shared.query.problems import ProblemError
from shared.runtime import logs, problem_responses
from shared.runtime.shutdown import Shutdown

TRACE = "0af7651916cd43dd8448eb211c80319c"
REQUEST = Request({"type": "http", "headers": [(b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]})


@pytest.fixture(autouse=True)
def new_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem_responses, "_RATE_LIMITED", logs.RateLimitedLog())


async def answer(error: BaseException) -> Response:
    async def fail() -> Response:
        raise error

    # A task of its own, like a request of a server: the fields of its log lines end with it.
    return await asyncio.create_task(problem_responses.answer(REQUEST, fail))


def body(response: Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = json.loads(bytes(response.body))
    assert found["status"] == response.status_code
    return found


async def test_a_problem_is_answered_and_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    response = await answer(ProblemError(HTTPStatus.NOT_FOUND, "found x, expected y"))

    assert body(response)["detail"] == "found x, expected y"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "status", "severity", "event"),
    [
        (StoreUnavailableError("secret-table: no answer"), 503, "WARNING", "query_failed"),
        (StoreRefusedError("secret-table: no permission"), 500, "ERROR", "query_failed"),
        (ContractError("secret-table: wrong"), 500, "ERROR", "query_failed"),
        (ValueError("secret-table"), 500, "ERROR", "unexpected_error"),
    ],
)
async def test_the_cause_of_an_error_is_logged_with_the_trace_and_not_sent(
    capsys: pytest.CaptureFixture[str], error: Exception, status: int, severity: str, event: str
) -> None:
    response = await answer(error)

    assert response.status_code == status
    assert "secret-table" not in str(body(response))
    assert response.headers.get("retry-after") == ("5" if status == 503 else None)
    line = json.loads(capsys.readouterr().out)
    assert (line["severity"], line["event"]) == (severity, event)
    assert "secret-table" in line["message"]
    assert line["logging.googleapis.com/trace"].endswith(TRACE)


async def test_an_outage_logs_one_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        await answer(StoreUnavailableError("no answer"))

    assert len(capsys.readouterr().out.splitlines()) == 1


async def test_a_request_that_the_shutdown_cancels_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    shutdown = Shutdown()
    monkeypatch.setattr(problem_responses, "SHUTDOWN", shutdown)
    started = asyncio.Event()

    async def wait() -> Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(problem_responses.answer(REQUEST, wait))
    await started.wait()
    shutdown.cancel_requests()

    assert (await task).status_code == 503
