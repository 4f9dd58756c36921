"""Our errors become the statuses that make Pub/Sub deliver again, and one log line each."""

from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException

from shared import errors
from shared.answers import answering


@pytest.mark.parametrize(
    ("error", "status", "severity"),
    [
        (errors.OverloadedError("32 MB are waiting"), 429, "WARNING"),
        (errors.StoreUnavailableError("not acknowledged"), 503, "WARNING"),
        (errors.TransientError("later"), 503, "WARNING"),
        (errors.StoreRefusedError("no such table"), 500, "ERROR"),
        (errors.ContractError("wrong contract"), 500, "ERROR"),
        (errors.SettingsError("no project"), 500, "ERROR"),
        (errors.PlacesMovedError("moved"), 500, "ERROR"),
        (errors.PermanentError("never"), 500, "ERROR"),
    ],
)
def test_errors_become_answers(
    error: Exception, status: int, severity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(HTTPException) as caught, answering("77"):
        raise error

    assert caught.value.status_code == status
    assert str(error) not in caught.value.detail  # who posts is told no more than has to be
    assert json.loads(capsys.readouterr().out) == {"severity": severity, "message": str(error), "message_id": "77"}


def test_a_request_for_nothing_that_could_be_done_is_logged_and_acknowledged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering("77"):
        raise errors.RequestError("no such day")

    assert json.loads(capsys.readouterr().out) == {"severity": "ERROR", "message": "no such day", "message_id": "77"}


def test_success_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with answering("77"):
        pass

    assert capsys.readouterr().out == ""


def test_a_bug_stays_one() -> None:
    with pytest.raises(ZeroDivisionError), answering("77"):
        _ = 1 / 0
