"""Cells of a row, and the order of Bigtable."""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a row, without the row key."""

    family: str
    qualifier: bytes
    timestamp: int  # microseconds
    value: bytes
    labels: tuple[str, ...] = ()


_column = itemgetter(0, 1)
_timestamp = itemgetter(2)


def in_order(cells: list[Cell]) -> list[Cell]:
    """Return cells ordered by family, qualifier, newest first; cells equal in these keep their mutual order."""
    newest_first = sorted(cells, key=_timestamp, reverse=True)
    newest_first.sort(key=_column)
    return newest_first
