"""Detection of duplicates among recent events, only to count them; a second write of an event changes nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterable


class DuplicateDetector:
    """Remembers the cell keys of recent distinct events, as hashes of two generations.

    The older generation is dropped when the newer one has `size` hashes, so at least the last `size` events are known.
    Two generations of 25,000 take about 5 MB.
    """

    def __init__(self, size: int = 25_000) -> None:
        self._size = size
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def count(self, cell_keys: Iterable[Hashable]) -> int:
        """Remember the cell keys; return how many of them were known already."""
        hashes = list(map(hash, cell_keys))
        new = set(hashes) - self._newer - self._older
        self._newer |= new
        if len(self._newer) >= self._size:
            self._older, self._newer = self._newer, set()
        return len(hashes) - len(new)
