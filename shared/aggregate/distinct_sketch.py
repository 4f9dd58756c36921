"""An estimate of how many different values there are, in 64 KiB however many: a HyperLogLog sketch. Pure.

Its 65,536 registers each keep the greatest of numbers made of the values' hashes, so a sketch is a function of the set
of its values, whatever order, parts and merges it came from. So has to be what is read from it. Apache DataSketches
also estimates from the order in which values came, which is a little closer; an estimate of a union never does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_LG_REGISTERS = 16


class Sketch:
    """The different values among texts, numbers, true and false."""

    __slots__ = ("_hll", "_library")

    def __init__(self) -> None:
        # Takes most of a second with numpy, which it brings; needed on large days alone.
        import datasketches

        self._library = datasketches
        # All registers from the start: before that a sketch keeps hashes, and estimates by another rule.
        self._hll = datasketches.hll_sketch(_LG_REGISTERS, datasketches.tgt_hll_type.HLL_8, True)

    def add(self, values: Iterable[Any]) -> None:
        """Take note of values, each of which may have come before."""
        update = self._hll.update
        for value in set(values):
            update(_text(value))

    def merge(self, other: Sketch) -> None:
        """Take note of the other's values too."""
        self._hll = self._union(other).get_result(self._library.tgt_hll_type.HLL_8)

    def estimate(self) -> int:
        """Return about how many different values there were."""
        estimate: float = self._union(self).get_estimate()
        return round(estimate)

    @property
    def error(self) -> float:
        """Two standard errors of the estimate, relative to it: 95 of 100 estimates are closer than that."""
        error: float = self._library.hll_sketch.get_rel_err(False, True, _LG_REGISTERS, 2)
        return round(error, 4)

    def _union(self, other: Sketch) -> Any:
        union = self._library.hll_union(_LG_REGISTERS)
        union.update(self._hll)
        union.update(other._hll)
        return union


def _text(value: Any) -> str:
    """Return the text that is hashed for a value: the same one for values that are equal, and for no others."""
    if isinstance(value, str):
        return value if value > "\1" else f"\0t{value}"  # the library passes over an empty text
    return f"\0n{int(value) if value == int(value) else value!r}"
