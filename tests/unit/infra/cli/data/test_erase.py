"""The output of `erase` and `erasures` describes interrupted erasures and ranges of days."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pytest
from msgspec import structs

from infra.cli.data.erase import _days_text, _lines, _state_of
from infra.erase.log import Erasure
from infra.erase.survey import Counts

BEGUN = Erasure("a1", datetime(2024, 1, 15, 10, tzinfo=UTC), 2, Counts(), [])


@pytest.mark.parametrize(
    ("erasure", "text"),
    [
        (BEGUN, "not finished; repeat it with the same users"),
        (
            structs.replace(BEGUN, finished=datetime(2024, 1, 15, 11, tzinfo=UTC)),
            "finished 2024-01-15 11:00, nothing was",
        ),
        (
            structs.replace(BEGUN, continued_by="b2"),
            "interrupted; b2 computed its days again. Repeat it unless that had",
        ),
    ],
)
def test_the_state_of_an_erasure_says_what_to_do(erasure: Erasure, text: str) -> None:
    assert _state_of(erasure).startswith(text)


def test_a_range_of_days_is_shown_by_its_ends() -> None:
    days = [date(2024, 1, day) for day in (15, 16, 18)]

    assert [_days_text(days[:count]) for count in (0, 1, 3)] == [
        "",
        ": 2024-01-15",
        ", from 2024-01-15 to 2024-01-18",
    ]


def test_a_line_is_a_user_with_its_blanks() -> None:
    assert _lines(io.BytesIO(b"\xef\xbb\xbfann\r\n bob \n\nzo\xc3\xab")) == ["ann", " bob ", "zoë"]
