"""A cursor is read by its own endpoint with the same parameters, and refused in every other case."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.query import cursors
from shared.query.problems import ProblemError
from shared.tables.events import Position

PATH = "/v1/events"
ARGUMENTS = {"user": "u", "day": date(2024, 1, 15), "limit": 10, "cursor": None}


def read(cursor: str, path: str = PATH, **changes: Any) -> Position | None:
    return cursors.decode(Position, path, {**ARGUMENTS, **changes, "cursor": cursor})


@given(st.integers(0, 10**6), st.binary(max_size=300))
def test_a_position_survives_its_cursor_which_a_url_can_hold(day: int, qualifier: bytes) -> None:
    position = Position(day, qualifier)
    cursor = cursors.encode(position, PATH, ARGUMENTS)

    assert read(cursor, limit=99) == position
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_no_cursor_is_no_position() -> None:
    assert cursors.decode(Position, PATH, ARGUMENTS) is None


@pytest.mark.parametrize("changes", [{"user": "v"}, {"day": date(2024, 1, 16)}, {"path": "/v1/rejected"}])
def test_a_cursor_of_another_request_is_refused(changes: dict[str, Any]) -> None:
    cursor = cursors.encode(Position(1, b"q"), PATH, ARGUMENTS)

    with pytest.raises(ProblemError, match=r"cursor: found .* expected the `next` of a page of this endpoint"):
        read(cursor, **changes)


@given(st.text(min_size=1, max_size=60))
def test_any_other_text_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError, match=r"^cursor: found "):
        read(cursor)


def test_a_changed_cursor_is_refused() -> None:
    cursor = cursors.encode(Position(1, b"qualifier"), PATH, ARGUMENTS)

    for index in range(len(cursor) - 1):
        changed = cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(ProblemError):
            read(changed)
