"""Cells of a row, and the order of Bigtable."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a row, without the row key."""

    family: str
    qualifier: bytes
    timestamp: int  # microseconds
    value: bytes
    labels: tuple[str, ...] = ()


# Makes a cell of a tuple of all its fields, in half the time of the constructor.
make_cell: Callable[[tuple[str, bytes, int, bytes, tuple[str, ...]]], Cell] = partial(tuple.__new__, Cell)

_column = itemgetter(0, 1)
_timestamp = itemgetter(2)


def in_order(cells: list[Cell]) -> list[Cell]:
    """Return cells ordered by family, qualifier, newest first; cells equal in these keep their mutual order."""
    newest_first = sorted(cells, key=_timestamp, reverse=True)
    newest_first.sort(key=_column)
    return newest_first
