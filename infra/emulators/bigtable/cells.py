"""Cells of a row."""

from __future__ import annotations

from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a row, without the row key."""

    family: str
    qualifier: bytes
    timestamp: int  # microseconds
    value: bytes
    labels: tuple[str, ...] = ()
