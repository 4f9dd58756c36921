"""What is measured, row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.parts import Parts
from tests.bench.results import Result
from tests.bench.rows import messages


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    work: str
    measure: Callable[[Parts], Result]


ROWS = {
    1: Row("messages of one event", messages.single),
    2: Row("messages of a hundred events", messages.envelopes),
}
