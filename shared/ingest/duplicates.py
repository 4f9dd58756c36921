"""Detection of duplicates among recent events, only to count them; a second write of an event changes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from shared.row_keys import CellKey


class DuplicateDetector:
    """Remembers the cell keys of the most recent distinct events.

    50,000 hashes of keys take about 5 MB. Each new hash evicts the oldest one, so memory is constant.
    """

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._known: set[int] = set()
        self._order: deque[int] = deque()

    def count(self, cell_keys: Iterable[CellKey]) -> int:
        """Remember the cell keys; return how many of them were known already."""
        known, order = self._known, self._order
        duplicates = 0
        for digest in map(hash, cell_keys):
            if digest in known:
                duplicates += 1
            else:
                known.add(digest)
                order.append(digest)
        while len(order) > self._size:
            known.remove(order.popleft())
        return duplicates
