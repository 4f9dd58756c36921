"""Notice events that come again soon, without asking the store. Only a figure: a second write changes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from shared.row_keys import CellKey


class DuplicateDetector:
    """Remembers the cell_keys of the last events, so many different ones.

    50,000 cell_keys are about 5 MB, kept as hashes. One goes for each that comes: two sets taking turns would have an
    instance's memory rise and fall by as much again.
    """

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._marks: set[int] = set()
        self._order: deque[int] = deque()

    def count(self, cell_keys: Iterable[CellKey]) -> int:
        """Remember the cell_keys; returns how many of them were remembered already."""
        marks, order = self._marks, self._order
        known = 0
        for mark in map(hash, cell_keys):
            if mark in marks:
                known += 1
            else:
                marks.add(mark)
                order.append(mark)
        while len(order) > self._size:
            marks.remove(order.popleft())
        return known
